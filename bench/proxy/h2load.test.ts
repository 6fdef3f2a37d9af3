import { expect, test } from 'vitest';
import { BenchError } from '../bench-error.ts';
import { parseH2load } from './h2load.ts';

const good = `starting benchmark...
Application protocol: h2c
Stopped all clients for thread #0

finished in 515.12ms, 11562.00 req/s, 2.58MB/s
requests: 5781 total, 6037 started, 5781 done, 5781 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 5781 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.29MB (1353538) total, 304.86KB (312174) headers (space savings 49.06%), 722.63KB (739968) data
                     min         max         mean         sd        +/- sd
time for request:     4.04ms     51.91ms     20.25ms      8.56ms    68.40%
`;

test('requests and time are read', () => {
  expect(parseH2load(good, 128)).toEqual({ requests: 5781, elapsedMs: 515.12 });
});

test('an answer that the end of the time cut off is neither counted nor a fault', () => {
  expect(parseH2load(good.replace('5781 2xx', '5782 2xx'), 128).requests).toBe(5781);
});

test('an answer without its message is no success, whatever its status', () => {
  const empty = good.replace('(739968) data', '(739840) data');
  expect(() => parseH2load(empty, 128)).toThrow(/739840 bytes are no 5781 answers of 128 bytes/);
});

test.for([
  ['0 failed', '1 failed'],
  ['0 errored', '2 errored'],
  ['0 timeout', '3 timeout'],
  ['5781 2xx, 0 3xx', '5780 2xx, 1 3xx'],
] as const)('a run with %o as %o is no measurement', ([part, fault]) => {
  expect(() => parseH2load(good.replace(part, fault), 128)).toThrow(
    expect.objectContaining({ code: 'bench_answer' }),
  );
});

test.for(['', 'could not connect to 127.0.0.1:1', good.replace('515.12ms', '515.12')])(
  'other output is refused',
  (text) => {
    expect(() => parseH2load(text, 128)).toThrow(BenchError);
  },
);
