import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { cutText } from './cut-text.ts';

test.for([
  ['longer', 'abcdef', 4, 'abcd'],
  ['as long as the bound', 'abcd', 4, 'abcd'],
  ['shorter', 'ab', 4, 'ab'],
  ['empty', '', 4, ''],
  ['not ASCII', 'äöü€', 3, 'äöü'],
  ['cut within a surrogate pair', 'ab😀', 3, 'ab\ufffd'],
] as const)('%s', ([, text, lengthMax, expected]) => {
  expect(cutText(text, lengthMax)).toBe(expected);
});

test('what is cut off does not stay in memory', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const heapBytes = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = heapBytes();
  const kept = Array.from({ length: 50 }, (_, index) =>
    // Decoded from bytes, as what comes from a socket is: a text of its own, and no rope of shared parts.
    cutText(Buffer.alloc(textBytes, 0x61 + (index % 26)).toString('latin1'), 512),
  );
  expect(heapBytes() - before).toBeLessThan((50 * textBytes) / 10);
  expect(kept.every((text) => text.length === 512)).toBe(true);
});

const textBytes = 500_000;
