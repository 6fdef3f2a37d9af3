import { expect, test } from 'vitest';
import { BenchError } from '../bench-error.ts';
import { parseOpensslSpeed } from './openssl-speed.ts';

test('the rates of P-256 are read', () => {
  const [sign, verify] = parseOpensslSpeed('version: 3.0.22\n+F4:3:256:25000.000000:10000.5\n');
  expect(sign?.figures).toEqual({ cpuMicrosPerOperation: 40, operationsPerCpuSecond: 25_000 });
  expect(verify?.figures['operationsPerCpuSecond']).toBeCloseTo(10_000.5);
});

test.for(['', '+F4:3:256:0.0:1.0', '+F4:4:384:1.0:1.0', 'speed: Unknown algorithm'])(
  'output without them is refused: %j',
  (text) => {
    expect(() => parseOpensslSpeed(text)).toThrow(BenchError);
  },
);
