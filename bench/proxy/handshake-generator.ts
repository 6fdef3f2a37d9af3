/**
 * Handshakes, a process of its own: as many clients as asked for, each of which connects with its certificate, has one
 * request answered (for only then has the server judged the client), and begins again. No session is resumed.
 *
 * Arguments: a JSON object as of the load generator. Standard output: `handshakes`, `elapsedMs` and `cpuMicros` of the
 * watched process.
 */

import { sleep, systemClock } from '../../core/index.ts';
import { processCpuMicros } from '../cpu-time.ts';
import { askOnce, opener } from './load-connection.ts';
import { loadSettingSchema } from './load-setting.ts';

const setting = loadSettingSchema.parse(JSON.parse(process.argv[2] ?? '{}'));
const open = opener(setting);
let handshakes = 0;
let failure: unknown;
for (let client = 0; client < setting.connections; client += 1) {
  const run = async (): Promise<void> => {
    for (;;) {
      const socket = await open();
      await askOnce(socket);
      socket.destroy();
      handshakes += 1;
    }
  };
  run().catch((error: unknown) => (failure ??= error));
}
await sleep(systemClock, setting.warmUpMs);
const before = {
  handshakes,
  cpuMicros: processCpuMicros(setting.watchedPid),
  at: performance.now(),
};
await sleep(systemClock, setting.windowMs);
const result = {
  handshakes: handshakes - before.handshakes,
  elapsedMs: performance.now() - before.at,
  cpuMicros: processCpuMicros(setting.watchedPid) - before.cpuMicros,
};
if (failure !== undefined) throw failure;
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
