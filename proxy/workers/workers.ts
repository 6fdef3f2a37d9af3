/** A proxy on several cores: workers on the same ports, and one admin port that answers for all of them. */

import { request } from 'node:http';
import { type Closable, Scope } from '../../core/index.ts';
import { type AdminAnswer, listenAdmin } from '../admin/admin-listener.ts';
import { prometheusText } from '../admin/prometheus-text.ts';
import type { ProxyConfig } from '../config.ts';
import { type MergedStats, mergeStats, workerStatsSchema } from './merge-stats.ts';
import { WorkerSet, type WorkerSetDeps } from './worker-set.ts';

export interface RunningWorkers extends Closable {
  readonly adminPort: number;
}

/**
 * Starts `config.workers` workers, or none. Each is a proxy of its own with a stream of secrets of its own.
 * Throws WorkersError, and rpc's ListenError for the admin port.
 */
export async function startProxyWorkers(
  config: ProxyConfig,
  deps: WorkerSetDeps,
): Promise<RunningWorkers> {
  const scope = new Scope();
  try {
    const set = scope.add(await WorkerSet.start(config.workers, deps));
    const admin = scope.add(await listenAdmin(config.admin, (url) => answerOf(url, set)));
    deps.log.info('workers started', { workers: config.workers, adminPort: admin.port });
    return { adminPort: admin.port, close: () => scope.close() };
  } catch (error) {
    await scope.close();
    throw error;
  }
}

async function answerOf(url: URL, set: WorkerSet): Promise<AdminAnswer | undefined> {
  switch (url.pathname) {
    case '/stats': {
      const stats = await statsOf(set);
      const isText = url.searchParams.get('format') === 'prometheus';
      return { status: 200, body: isText ? prometheusText(stats) : stats };
    }
    case '/metrics':
      return { status: 200, body: prometheusText(await statsOf(set)) };
    case '/certs':
    case '/listeners': {
      const answers = await askAll(set, url.pathname);
      return { status: 200, body: { workers: answers.map(({ body }) => body) } };
    }
    case '/livez':
      return { status: 200, body: { status: 'alive' } };
    case '/readyz': {
      const answers = await askAll(set, url.pathname);
      const isReady = answers.every(({ status }) => status === 200);
      const workers = answers.map(({ body }) => body);
      return { status: isReady ? 200 : 503, body: { isReady, workers } };
    }
    default:
      return undefined;
  }
}

async function statsOf(set: WorkerSet): Promise<MergedStats> {
  const answers = await askAll(set, '/stats');
  const answered = answers.filter(({ status }) => status === 200);
  return mergeStats(answered.map(({ body }) => workerStatsSchema.parse(body)));
}

interface WorkerAnswer {
  readonly status: number;
  readonly body: unknown;
}

function askAll(set: WorkerSet, path: string): Promise<WorkerAnswer[]> {
  return Promise.all(set.adminPorts().map((port) => ask(port, path)));
}

/** A worker that does not answer is one that is not ready, and no fault of the others. */
function ask(port: number | undefined, path: string): Promise<WorkerAnswer> {
  const silent = (reason: string): WorkerAnswer => ({ status: 503, body: { reasons: [reason] } });
  if (port === undefined) return Promise.resolve(silent('the worker is being replaced'));
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, path, agent: false, timeout: askMsMax };
    const asking = request(options, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', (error) => resolve(silent(error.message)));
      response.on('end', () => {
        const body: unknown = JSON.parse(Buffer.concat(parts).toString());
        resolve({ status: response.statusCode ?? 503, body });
      });
    });
    asking.on('timeout', () => asking.destroy(new Error('the worker does not answer')));
    asking.on('error', (error) => resolve(silent(error.message)));
    asking.end();
  });
}

// A worker whose loop is busy for longer serves nobody either.
const askMsMax = 5000;
