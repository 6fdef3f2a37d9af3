/** SPIRE's server and agent, the peers of ours, where `install-peers.sh` has built them or they are on the path. */

import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePorts, type Scope } from '../../core/index.ts';
import { BenchError } from '../bench-error.ts';
import { startProgram, untilReady } from '../child-program.ts';
import type { Placement } from '../placement.ts';
import { findTool, outputOf } from '../tool.ts';
import {
  type AgentMesh,
  type MeshEntry,
  meshDomain,
  meshIdOf,
  permissionDenied,
  poolId,
  unavailable,
} from './agent-mesh.ts';
import { answers } from './bench-mesh.ts';
import { callOnce, integersOf } from './unix-stream.ts';

export interface SpirePrograms {
  readonly server: string;
  readonly agent: string;
  readonly version: string;
}

export function findSpire(): SpirePrograms | undefined {
  const [server, agent] = ['spire-server', 'spire-agent'].map((name) => {
    const built = fileURLToPath(new URL(`../../.venv/bin/${name}`, import.meta.url));
    return existsSync(built) ? built : findTool(name);
  });
  if (server === undefined || agent === undefined) return undefined;
  return { server, agent, version: outputOf(agent, ['--version'])?.trim() ?? 'unknown' };
}

/**
 * Set up as ours is: keys of agents in memory, P-256, a join token for each start, limits lifted. What SPIRE has as a
 * default stays, above all that an agent asks its server every five seconds.
 */
export async function startSpireMesh(
  programs: SpirePrograms,
  p: {
    readonly directory: string;
    readonly placement: Placement;
    /** So many SVIDs may an agent hold. */
    readonly svidsMax: number;
  },
  scope: Scope,
): Promise<AgentMesh> {
  const { placement } = p;
  const at = (...names: string[]): string => join(p.directory, 'spire', ...names);
  // SPIRE wants its two sockets of an agent in folders of their own.
  for (const name of ['server', 'api', 'operators']) mkdirSync(at(name), { recursive: true });
  const serverSocket = at('server', 'admin.sock');
  const socket = at('api', 'agent.sock');
  const operatorSocket = at('operators', 'admin.sock');
  const [port = 0] = await freePorts(1);
  const ask = async (...words: readonly string[]): Promise<string> => {
    const [first = '', second = '', ...rest] = words;
    const args = [first, second, '-socketPath', serverSocket, ...rest];
    // It ends badly where some of what was asked for could not be done; its words say what.
    const { stdout, stderr } = await execute(programs.server, args).catch(wordsOf);
    return `${stdout}${stderr}`;
  };

  writeFileSync(at('server.json'), JSON.stringify(serverConfig(port, at('server'), serverSocket)));
  const command = [programs.server, 'run', '-config', at('server.json')];
  const server = scope.add(
    startProgram({
      name: 'spire-server',
      directory: at('server'),
      command: [...placement.others, ...command],
    }),
  );
  const bundle = await untilReady(server, async () => {
    const text = await ask('bundle', 'show');
    return text.includes('BEGIN CERTIFICATE') ? text : undefined;
  });
  writeFileSync(at('bundle.pem'), bundle);

  const idsIn = (output: string): readonly string[] => {
    const ids = [...output.matchAll(/^Entry ID\s*: (\S+)$/gm)].flatMap(([, id]) => id ?? []);
    if (ids.length === 0) throw new BenchError('bench_output', `spire-server: ${output}`);
    return ids;
  };
  return {
    name: 'SPIRE agent',
    isCompiled: true,
    // It listens before it knows its entries, and then nobody has an identity.
    startingStatuses: [permissionDenied, unavailable],
    socket,
    async startAgent() {
      const generated = await ask('token', 'generate', '-spiffeID', poolId);
      const token = /^Token: (\S+)/m.exec(generated)?.[1];
      if (token === undefined) throw new BenchError('bench_output', 'spire-server gave no token');
      const data = at('agent');
      rmSync(data, { recursive: true, force: true });
      mkdirSync(data);
      const config = agentConfig({ port, data, socket, operatorSocket, bundle: at('bundle.pem') });
      config.agent['x509_svid_cache_max_size'] = p.svidsMax;
      writeFileSync(at('agent.json'), JSON.stringify(config));
      const run = [programs.agent, 'run', '-config', at('agent.json'), '-joinToken', token];
      const agent = scope.add(
        startProgram({
          name: 'spire-agent',
          directory: at('api'),
          command: [...placement.underTest, ...run],
        }),
      );
      await untilReady(agent, () => answers(socket));
      return agent;
    },
    async createEntry(entry) {
      const words = [
        '-parentID',
        poolId,
        '-spiffeID',
        meshIdOf(entry),
        '-selector',
        entry.selector,
      ];
      return idsIn(await ask('entry', 'create', ...words))[0] ?? '';
    },
    async deleteEntry(id) {
      const output = await ask('entry', 'delete', '-entryID', id);
      if (!output.includes(id)) throw new BenchError('bench_output', `spire-server: ${output}`);
    },
    async importEntries(entries) {
      writeFileSync(at('entries.json'), JSON.stringify({ entries: entries.map(wireOf) }));
      const made = idsIn(await ask('entry', 'create', '-data', at('entries.json')));
      if (made.length === entries.length) return;
      throw new BenchError('bench_output', `spire-server made ${made.length} entries`);
    },
    async svidCount() {
      const path = '/spire.agent.debug.v1.Debug/GetInfo';
      const info = await callOnce(operatorSocket, path);
      return integersOf(info, cachedSvidsField)[0] ?? 0;
    },
  };
}

const execute = promisify(execFile);

function wordsOf(error: unknown): { readonly stdout: string; readonly stderr: string } {
  if (error instanceof Error && 'stdout' in error && 'stderr' in error) {
    return { stdout: String(error.stdout), stderr: String(error.stderr) };
  }
  throw error;
}

function wireOf(entry: MeshEntry) {
  const [type, ...value] = entry.selector.split(':');
  return {
    spiffe_id: meshIdOf(entry),
    parent_id: poolId,
    selectors: [{ type, value: value.join(':') }],
  };
}

function serverConfig(port: number, data: string, socket: string) {
  return {
    server: {
      trust_domain: meshDomain,
      bind_address: '127.0.0.1',
      bind_port: port,
      socket_path: socket,
      data_dir: data,
      log_level: 'ERROR',
      ca_key_type: 'ec-p256',
      ratelimit: { attestation: false, signing: false },
    },
    plugins: {
      DataStore: {
        sql: { plugin_data: { database_type: 'sqlite3', connection_string: join(data, 'db') } },
      },
      NodeAttestor: { join_token: { plugin_data: {} } },
      KeyManager: { memory: { plugin_data: {} } },
    },
  };
}

function agentConfig(p: {
  readonly port: number;
  readonly data: string;
  readonly socket: string;
  readonly operatorSocket: string;
  readonly bundle: string;
}) {
  const agent: Record<string, unknown> = {
    trust_domain: meshDomain,
    server_address: '127.0.0.1',
    server_port: p.port,
    socket_path: p.socket,
    admin_socket_path: p.operatorSocket,
    data_dir: p.data,
    trust_bundle_path: p.bundle,
    log_level: 'ERROR',
  };
  return {
    agent,
    plugins: {
      NodeAttestor: { join_token: { plugin_data: {} } },
      KeyManager: { memory: { plugin_data: {} } },
      WorkloadAttestor: { unix: { plugin_data: {} } },
    },
  };
}

// GetInfoResponse.cached_x509_svids_count.
const cachedSvidsField = 5;
