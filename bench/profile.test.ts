import { expect, test } from 'vitest';
import { selfTimes } from './profile.ts';

const frame = (functionName: string, url = '', lineNumber = -1) => ({
  functionName,
  url,
  lineNumber,
});

test('self time is summed by function, and idle time left out', () => {
  const times = selfTimes({
    nodes: [
      { id: 1, callFrame: frame('(idle)') },
      { id: 2, callFrame: frame('writev') },
      { id: 3, callFrame: frame('parse', 'node:net', 9) },
      { id: 4, callFrame: frame('writev') },
    ],
    samples: [1, 2, 3, 4],
    timeDeltas: [1000, 20, 25, 55],
  });
  expect(times).toEqual([
    { place: 'writev', percent: 75 },
    { place: 'parse node:net:10', percent: 25 },
  ]);
});
