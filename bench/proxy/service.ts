/** The service behind the hop, which answers with 128 bytes: nginx where it is, else our own in Node.js. */

import { once } from 'node:events';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { freePorts } from '../../core/index.ts';
import type { Scope } from '../../core/index.ts';
import { type ChildProgram, startProgram, untilReady } from '../child-program.ts';
import type { Placement } from '../placement.ts';
import type { HttpServicePorts } from './hop.ts';
import type { PemFiles } from './mesh-identities.ts';
import { startNginxProgram, tlsListen } from './nginx-program.ts';

export interface ServiceSetting {
  readonly directory: string;
  readonly placement: Placement;
  readonly files: PemFiles;
  /** The cheaper it is, the less it takes from the core that also carries the load. */
  readonly nginx: string | undefined;
}

export async function startService(
  scope: Scope,
  setting: ServiceSetting,
): Promise<HttpServicePorts> {
  const { directory, placement, files, nginx } = setting;
  const [plaintextPort = 0, tlsPort = 0] = await freePorts(2);
  if (nginx !== undefined) {
    const answer = `return 200 "${'x'.repeat(128)}";`;
    const servers = `
  server { listen 127.0.0.1:${plaintextPort}; ${answer} }
  server {${tlsListen(tlsPort, files)} ${answer} }`;
    const program = { name: 'service', nginx, directory, servers, port: tlsPort };
    await startNginxProgram(scope, { ...program, placement: placement.others });
    return { plaintextPort, tlsPort };
  }
  const argument = JSON.stringify({ plaintextPort, tlsPort, ...files });
  const command = [...placement.others, process.execPath, backendScript, argument];
  const program = scope.add(startProgram({ name: 'service', directory, command }));
  await untilListening(program, tlsPort);
  return { plaintextPort, tlsPort };
}

/** Starts one of our services that are there beside it, and answers its port. */
export async function startOwnService(
  scope: Scope,
  { directory, placement }: Pick<ServiceSetting, 'directory' | 'placement'>,
  name: keyof typeof ownScripts,
): Promise<number> {
  const [port = 0] = await freePorts(1);
  const command = [...placement.others, process.execPath, ownScripts[name], String(port)];
  await untilListening(scope.add(startProgram({ name, directory, command })), port);
  return port;
}

async function untilListening(program: ChildProgram, port: number): Promise<void> {
  await untilReady(program, async () => {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.destroy();
    return true;
  });
}

const ownScripts = {
  'grpc-service': fileURLToPath(import.meta.resolve('./grpc-service.ts')),
  'relay-service': fileURLToPath(import.meta.resolve('./relay-service.ts')),
} as const;
const backendScript = fileURLToPath(import.meta.resolve('./backend.ts'));
