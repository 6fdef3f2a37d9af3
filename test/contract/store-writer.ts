/** A process to be killed: commits pairs for ever, and prints each revision once it is acknowledged. */

import { openLevelStore } from '../../ca/store/level-store.ts';
import { utf8Bytes } from '../../core/index.ts';

const store = await openLevelStore({ directory: process.argv[2] ?? '', eventRevisionsKept: 50 });
process.stdout.write('open\n');

async function writePairs(name: number): Promise<never> {
  for (let count = 0; ; count += 1) {
    const value = utf8Bytes(`${name}:${count}`);
    const result = await store.commit({
      puts: [
        { key: `left/${name}`, value },
        { key: `right/${name}`, value },
      ],
    });
    if (result.kind === 'committed') process.stdout.write(`${result.revision}\n`);
  }
}

await Promise.all(Array.from({ length: 8 }, (_, name) => writePairs(name)));
