/** A process to be killed: appends records for ever, and prints each index once it is durable. */

import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { openAuditLog } from '../../ca/audit/log.ts';
import { systemClock } from '../../core/index.ts';

const [, , directory = '', keyPath = ''] = process.argv;
const log = await openAuditLog({
  directory,
  clock: systemClock,
  signKey: createPrivateKey(readFileSync(keyPath)),
  origin: 'mesh.test/signet/audit',
  segmentBytesMax: 20_000,
});

async function appendForever(name: number): Promise<never> {
  for (;;) {
    const actor = { kind: 'system', id: `writer ${name}` } as const;
    const { index } = await log.append({ type: 'ca.started', actor, trustDomain: 'mesh.test' });
    process.stdout.write(`${index}\n`);
  }
}

await Promise.all(Array.from({ length: 8 }, (_, name) => appendForever(name)));
