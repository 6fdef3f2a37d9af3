/** A CA and an agent as programs of their own, for benchmarks of the agent. */

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import {
  type AdminClient,
  adminClient,
  type AgentAdminClient,
  agentAdminClient,
} from '../../api/index.ts';
import type { Scope } from '../../core/index.ts';
import { type ChildProgram, startProgram, untilReady } from '../child-program.ts';
import type { Placement } from '../placement.ts';
import { profileFlags } from '../profile.ts';
import { buildSignet, signetCommand, writeConfig } from '../signet-program.ts';
import { parseBundle, parseTrustDomain } from '../../spiffe/index.ts';
import { meshDomain, poolId } from './agent-mesh.ts';

export interface BenchMesh {
  readonly admin: AdminClient;
  readonly ca: ChildProgram;
  /** Where the agent's socket is, while there is one. */
  readonly socket: string;
  /** What its operators ask. */
  readonly operators: AgentAdminClient;
  /** Starts an agent on a node that has never been, whose second name is `poolId`; resolves once it answers. */
  startAgent(profile?: string): Promise<ChildProgram>;
}

export async function startBenchMesh(
  directory: string,
  placement: Placement,
  scope: Scope,
): Promise<BenchMesh> {
  const adminSocket = join(directory, 'admin.sock');
  const socket = join(directory, 'agent.sock');
  const operatorSocket = join(directory, 'operators.sock');
  const script = buildSignet(join(directory, 'built'));
  const keyFile = join(directory, 'kek');
  writeFileSync(keyFile, randomBytes(32).toString('base64'), { mode: 0o600 });
  mkdirSync(join(directory, 'ca'), { mode: 0o700 });
  const caConfig = writeConfig(directory, 'ca', {
    trustDomain: meshDomain,
    data: join(directory, 'ca'),
    listen: '127.0.0.1:0',
    adminSocket,
    keyEncryptionKey: { file: keyFile },
    // One node asks for thousands at once here; whether it may is not what is asked.
    limits: { signingPerSecond: 1_000_000, signingPerNodePerSecond: 1_000_000 },
    logLevel: 'error',
  });
  const ca = scope.add(
    startProgram({
      name: 'ca',
      directory,
      command: [...placement.others, ...signetCommand('ca', caConfig, [], script)],
    }),
  );
  const admin = adminClient(adminSocket);
  const { agentAddress } = await untilReady(ca, () => admin.status());
  const bundle = join(directory, 'bundle.json');
  const text = await admin.bundle();
  parseBundle(text, parseTrustDomain(meshDomain));
  writeFileSync(bundle, text);
  return {
    admin,
    ca,
    socket,
    operators: agentAdminClient(operatorSocket),
    async startAgent(profile) {
      const { token } = await admin.createToken({ ttlSeconds: 3600, alias: poolId });
      const config = writeConfig(directory, 'agent', {
        trustDomain: meshDomain,
        ca: { address: agentAddress, bundle },
        socket,
        adminSocket: operatorSocket,
        join: { token },
        // Each start is a first one.
        cache: 'off',
        logLevel: 'error',
      });
      const agent = scope.add(
        startProgram({
          name: 'agent',
          directory,
          command: [
            ...placement.underTest,
            ...signetCommand('agent', config, profileFlags(profile), script),
          ],
        }),
      );
      await untilReady(agent, () => answers(socket));
      return agent;
    },
  };
}

/** True once somebody listens there. */
export function answers(socket: string): Promise<true | undefined> {
  return new Promise((resolve) => {
    const probe = connect(socket, () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(undefined));
  });
}
