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
  // So many at once, for a storm of handshakes is not what is measured.
  Array.from({ length: 16 }, async () => {
    for (; left > 0; ) {
      left -= 1;
      await askOnce(await open());
    }
  }),
);
process.stdout.write('open\n');
