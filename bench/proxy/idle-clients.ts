/**
 * Clients that have been answered once and then are silent, a process of its own. They are held until it is ended.
 *
 * Arguments: a JSON object, see `LoadTarget`. Standard output: `open` when all of them are.
 */

import { askOnce, loadTargetSchema, opener } from './load-connection.ts';

const target = loadTargetSchema.parse(JSON.parse(process.argv[2] ?? '{}'));
const open = opener(target);
let left = target.connections;
await Promise.all(
  Array.from({ length: target.atOnce ?? 16 }, async () => {
    for (; left > 0; ) {
      left -= 1;
      const answered = open().then(askOnce);
      await (target.mayBeRefused === true ? answered.catch(() => {}) : answered);
    }
  }),
);
process.stdout.write('open\n');
