/** Our sidecar under test: the real process, with its secrets by SDS. */

import { request } from 'node:http';
import { z } from 'zod';
import { freePorts } from '../../core/index.ts';
import type { Scope } from '../../core/index.ts';
import { type ChildProgram, startProgram, untilReady } from '../child-program.ts';
import { profileFlags } from '../profile.ts';
import { signetCommand, writeConfig } from '../signet-program.ts';
import type { Hop, HopSetting, SharedPort } from './hop.ts';

export async function startSidecar(
  scope: Scope,
  setting: HopSetting,
  sdsSocket: string,
  profileDirectory: string | undefined,
): Promise<Hop> {
  const { directory, placement, identities, backend, signet } = setting;
  const [plaintextPort = 0, tlsPort = 0, grpcPort = 0, relayPort = 0, adminPort = 0] =
    await freePorts(5);
  const config = writeConfig(directory, 'proxy', {
    ...commonConfig(sdsSocket, adminPort),
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
      {
        name: 'grpc',
        address: `127.0.0.1:${grpcPort}`,
        plaintext: true,
        protocol: 'http2',
        routes: [{ prefix: '/', cluster: 'grpc' }],
      },
      {
        name: 'relay',
        address: `127.0.0.1:${relayPort}`,
        tls: { allow: [identities.client.id] },
        protocol: 'tcp',
        cluster: 'relay',
      },
    ],
    clusters: [
      { name: 'plaintext', endpoints: [`127.0.0.1:${backend.plaintextPort}`] },
      {
        name: 'mtls',
        endpoints: [`127.0.0.1:${backend.tlsPort}`],
        tls: { expect: [identities.backend.id] },
      },
      { name: 'grpc', endpoints: [`127.0.0.1:${backend.grpcPort}`], protocol: 'http2' },
      { name: 'relay', endpoints: [`127.0.0.1:${backend.relayPort}`] },
    ],
  });
  const flags = profileFlags(profileDirectory);
  const command = [...placement.underTest, ...signetCommand('proxy', config, flags, signet)];
  const program = scope.add(startProgram({ name: 'proxy', directory, command }));
  await untilReady(program, () => isReady(adminPort));
  return { name: 'signet', program, plaintextPort, tlsPort, grpcPort, relayPort };
}

/** A process that shares its port with another. */
export async function startSidecarProcess(
  scope: Scope,
  { directory, placement, backend, signet }: HopSetting,
  sdsSocket: string,
  { name, sharedPort, alonePort }: SharedPort,
): Promise<ChildProgram> {
  const [adminPort = 0] = await freePorts(1);
  const listener = {
    plaintext: true,
    protocol: 'http1',
    routes: [{ prefix: '/', cluster: 'plaintext' }],
  };
  const shared = { name: 'shared', address: `127.0.0.1:${sharedPort}`, reusePort: true };
  const alone = { name: 'alone', address: `127.0.0.1:${alonePort}` };
  const addresses = alonePort === undefined ? [shared] : [shared, alone];
  const config = writeConfig(directory, name, {
    ...commonConfig(sdsSocket, adminPort),
    listeners: addresses.map((address) => ({ ...address, ...listener })),
    clusters: [{ name: 'plaintext', endpoints: [`127.0.0.1:${backend.plaintextPort}`] }],
  });
  const command = [...placement.everywhere, ...signetCommand('proxy', config, [], signet)];
  const program = scope.add(startProgram({ name, directory, command }));
  await untilReady(program, () => isReady(adminPort));
  return program;
}

export function commonConfig(sdsSocket: string, adminPort: number): object {
  return {
    node: { id: 'bench-1', cluster: 'bench' },
    sds: { socket: sdsSocket },
    admin: `127.0.0.1:${adminPort}`,
    accessLog: 'off',
    logLevel: 'warn',
  };
}

const statsSchema = z.object({
  workers: z.array(z.object({ pid: z.number() })),
  listeners: z.record(z.string(), z.record(z.string(), z.number())),
});

/** The statistics of a proxy with workers. */
export async function readStats(adminPort: number): Promise<z.output<typeof statsSchema>> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/stats`);
  return statsSchema.parse(await response.json());
}

/** Whether the proxy says so. */
export function isReady(port: number): Promise<true | undefined> {
  return new Promise((resolve, reject) => {
    const probe = request({ host: '127.0.0.1', port, path: '/readyz' }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? true : undefined);
    });
    probe.once('error', reject);
    probe.end();
  });
}
