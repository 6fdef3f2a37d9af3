/** Our sidecar under test: the real process, with its secrets by SDS. */

import { request } from 'node:http';
import type { Scope } from '../../core/index.ts';
import { startProgram, untilReady } from '../child-program.ts';
import { freePorts } from '../free-ports.ts';
import { signetCommand, writeConfig } from '../signet-program.ts';
import type { Hop, HopSetting } from './hop.ts';

export async function startSidecar(
  scope: Scope,
  setting: HopSetting,
  sdsSocket: string,
  profileDirectory: string | undefined,
): Promise<Hop> {
  const { directory, placement, identities, backend } = setting;
  const [plaintextPort = 0, tlsPort = 0, adminPort = 0] = await freePorts(3);
  const config = writeConfig(directory, 'proxy', {
    node: { id: 'bench-1', cluster: 'bench' },
    sds: { socket: sdsSocket },
    admin: `127.0.0.1:${adminPort}`,
    accessLog: 'off',
    logLevel: 'warn',
    listeners: [
      {
        name: 'plaintext',
        address: `127.0.0.1:${plaintextPort}`,
        plaintext: true,
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'plaintext' }],
      },
      {
        name: 'mtls',
        address: `127.0.0.1:${tlsPort}`,
        tls: { allow: [identities.client.id] },
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'mtls' }],
      },
    ],
    clusters: [
      { name: 'plaintext', endpoints: [`127.0.0.1:${backend.plaintextPort}`] },
      {
        name: 'mtls',
        endpoints: [`127.0.0.1:${backend.tlsPort}`],
        tls: { expect: [identities.backend.id] },
      },
    ],
  });
  const flags =
    profileDirectory === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profileDirectory];
  const command = [...placement.underTest, ...signetCommand('proxy', config, flags)];
  const program = scope.add(startProgram({ name: 'proxy', directory, command }));
  await untilReady(program, () => isReady(adminPort));
  return { name: 'signet', program, plaintextPort, tlsPort };
}

function isReady(port: number): Promise<true | undefined> {
  return new Promise((resolve, reject) => {
    const probe = request({ host: '127.0.0.1', port, path: '/readyz' }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? true : undefined);
    });
    probe.once('error', reject);
    probe.end();
  });
}
