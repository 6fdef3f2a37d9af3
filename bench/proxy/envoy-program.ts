/** Envoy as one process with one worker; what it serves is given as its bootstrap. */

import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Scope } from '../../core/index.ts';
import { type ChildProgram, startProgram, untilReady } from '../child-program.ts';

export interface EnvoyProgram {
  readonly name: string;
  /** The path of Envoy. */
  readonly envoy: string;
  readonly directory: string;
  /** What to put before the command line. */
  readonly placement: readonly string[];
  readonly bootstrap: unknown;
  /** A port it listens on, by which we see that it is ready. */
  readonly port: number;
}

export async function startEnvoyProgram(scope: Scope, p: EnvoyProgram): Promise<ChildProgram> {
  const { name, directory } = p;
  const config = join(directory, `${name}.json`);
  writeFileSync(config, JSON.stringify(p.bootstrap), { mode: 0o600 });
  const flags = ['--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'];
  const command = [...p.placement, p.envoy, '--config-path', config, ...flags];
  const program = scope.add(startProgram({ name, directory, command }));
  await untilReady(program, async () => {
    const socket = connect(p.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.destroy();
    return true;
  });
  return program;
}
