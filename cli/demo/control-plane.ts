/** A CA and an agent as processes of their own: what a mesh stands on. */

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from '../../core/index.ts';
import { type AdminClient, adminClient } from '../../api/index.ts';
import { type Child, type ChildOptions, sourceRoot, startChild } from './child.ts';
import { DemoError, waitFor } from './wait.ts';

export interface ControlPlane {
  readonly directory: string;
  readonly trustDomain: string;
  readonly admin: AdminClient;
  readonly agentSocket: string;
  /** The agent's SPIFFE ID, the parent of every entry. */
  readonly nodeId: string;
  /** Starts one more child, which ends with the rest. */
  start(options: Omit<ChildOptions, 'directory'>): Child;
  children(): readonly Child[];
  /** Kills the CA with SIGKILL and starts it again; resolves when it answers. */
  restartCa(): Promise<void>;
  /** Ends every child but those to keep, the last started first. */
  stop(keep?: readonly Child[]): Promise<void>;
}

/** Lifetimes short enough to watch, as the CA's config takes them. */
export const shortLifetimes = {
  root: '1h',
  issuing: '60s',
  x509Svid: '10s',
  nodeSvid: '15s',
  backdate: '5s',
} as const;

export const signetScript = join(sourceRoot, 'cli/signet.ts');

/** Starts a CA and an agent below `directory`, `progress` told of each step; resolves when the agent is in. */
export async function startControlPlane(
  directory: string,
  progress: (step: string) => void,
): Promise<ControlPlane> {
  for (const name of ['logs', 'tmp', 'config', 'bin', 'run'])
    mkdirSync(join(directory, name), { mode: 0o700 });
  const children: Child[] = [];
  const start: ControlPlane['start'] = (options) => {
    const child = startChild({ ...options, directory });
    children.push(child);
    return child;
  };
  const stop: ControlPlane['stop'] = async (keep = []) => {
    const ending = children.filter((child) => !keep.includes(child));
    for (const child of ending.toReversed()) await child.stop('SIGTERM');
  };
  try {
    return await begin(directory, progress, { start, stop, children: () => children });
  } catch (error) {
    await stop();
    throw error;
  }
}

async function begin(
  directory: string,
  progress: (step: string) => void,
  family: Pick<ControlPlane, 'start' | 'stop' | 'children'>,
): Promise<ControlPlane> {
  const [caPort = 0] = await freePorts(1);
  const agentSocket = join(directory, 'run', 'agent.sock');

  progress('certificate authority');
  const keyFile = join(directory, 'config', 'kek');
  writeFileSync(keyFile, randomBytes(32).toString('base64'), { mode: 0o600 });
  const caConfig = writeConfig(directory, 'ca', {
    trustDomain,
    data: join(directory, 'ca'),
    listen: `127.0.0.1:${caPort}`,
    adminSocket: join(directory, 'ca-admin.sock'),
    keyEncryptionKey: { file: keyFile },
    lifetimes: shortLifetimes,
  });
  const startCa = (): Child =>
    family.start({ name: 'ca', script: signetScript, args: ['ca', 'run', '--config', caConfig] });
  let ca = startCa();
  const admin = adminClient(join(directory, 'ca-admin.sock'));
  await answering(ca, admin);

  progress('agent, let in by a join token');
  const token = await admin.createToken({ ttlSeconds: 60 });
  const agentConfig = writeConfig(directory, 'agent', {
    trustDomain,
    ca: { address: `127.0.0.1:${caPort}`, rootSha256: token.rootSha256 },
    socket: agentSocket,
    join: { token: token.token },
  });
  const agent = family.start({
    name: 'agent',
    script: signetScript,
    args: ['agent', 'run', '--config', agentConfig],
  });
  await waitFor('the agent coming in', 20_000, async () => {
    const { nodes } = await admin.listNodes();
    return nodes.some((node) => node.connected) ? true : failIfEnded(agent);
  });

  return {
    ...family,
    directory,
    trustDomain,
    admin,
    agentSocket,
    nodeId: token.spiffeId,
    async restartCa() {
      await ca.stop('SIGKILL');
      ca = startCa();
      await answering(ca, admin);
    },
  };
}

/** Writes a program's config file and answers its path. */
export function writeConfig(directory: string, name: string, config: unknown): string {
  const path = join(directory, 'config', `${name}.yaml`);
  // JSON is YAML, and needs no escaping of ours.
  writeFileSync(path, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 });
  return path;
}

/** Undefined while the child runs. Throws {@link DemoError} that names its log once it has ended. */
export function failIfEnded(child: Child): undefined {
  const ended = child.ended();
  if (ended === undefined) return undefined;
  throw new DemoError(
    'demo_failed',
    `${child.name} ended with ${ended}; ${child.lastWords() ?? `see logs/${child.name}.log`}`,
  );
}

async function answering(ca: Child, admin: AdminClient): Promise<void> {
  await waitFor('the CA answering', 20_000, async () => {
    failIfEnded(ca);
    return admin.status();
  });
}

const trustDomain = 'mesh.test';
