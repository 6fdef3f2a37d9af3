/** Traffic: requests over kept and over new connections, each answer checked to the byte. */

import { Agent, request as httpRequest } from 'node:http';
import { Buffer } from 'node:buffer';
import { z } from 'zod';
import { sleep, systemClock } from '../../core/index.ts';

/** One way through the mesh. */
export interface Route {
  readonly name: string;
  readonly port: number;
  readonly path: string;
  /** Who must answer, and whom it must have been told the caller is. */
  readonly service: string;
  readonly peer: string;
}

export interface LoadCounts {
  readonly requests: number;
  readonly failed: number;
  readonly newConnections: number;
  readonly failures: readonly string[];
  /** The newest latencies in milliseconds, for percentiles. */
  readonly latenciesMs: readonly number[];
}

export interface Load {
  counts(): LoadCounts;
  stop(): Promise<void>;
}

/** Drives every route with `keptPerRoute` kept connections and one loop of new ones, until stopped. */
export function startLoad(routes: readonly Route[], keptPerRoute: number): Load {
  const stopping = new AbortController();
  const agent = new Agent({ keepAlive: true, maxSockets: keptPerRoute * routes.length });
  const failures: string[] = [];
  const latenciesMs: number[] = [];
  let requests = 0;
  let failed = 0;
  let newConnections = 0;

  const loop = async (route: Route, fresh: boolean, paceMs: number): Promise<void> => {
    for (let turn = 0; !stopping.signal.aborted; turn += 1) {
      const begun = systemClock.monotonicMs();
      requests += 1;
      if (fresh) newConnections += 1;
      const fault = await exchange(route, fresh ? false : agent, turn);
      if (fault !== undefined) {
        failed += 1;
        if (failures.length < failuresKept) failures.push(`${route.name}: ${fault}`);
      }
      latenciesMs.push(systemClock.monotonicMs() - begun);
      if (latenciesMs.length > latenciesKept) latenciesMs.splice(0, latenciesKept / 2);
      await sleep(systemClock, paceMs);
    }
  };

  const loops = routes.flatMap((route) => [
    ...Array.from({ length: keptPerRoute }, () => loop(route, false, keptPaceMs)),
    loop(route, true, freshPaceMs),
  ]);

  return {
    counts: () => ({ requests, failed, newConnections, failures, latenciesMs }),
    async stop() {
      stopping.abort();
      await Promise.all(loops);
      agent.destroy();
    },
  };
}

/** The value below which `share` of the sorted values lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** What was wrong with the exchange, or undefined. */
function exchange(route: Route, agent: Agent | false, turn: number): Promise<string | undefined> {
  const body = turn % 3 === 0 ? `turn ${turn} ${'x'.repeat(turn % 512)}` : '';
  const path = `${route.path}/${turn}`;
  return new Promise((resolve) => {
    const request = httpRequest(
      {
        host: '127.0.0.1',
        port: route.port,
        path,
        agent,
        method: body === '' ? 'GET' : 'POST',
        timeout: answerMsMax,
        ...(body === '' ? {} : { headers: { 'content-length': Buffer.byteLength(body) } }),
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', (error) => resolve(error.message));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve(
            response.statusCode === 200
              ? judge(route, path, body, text)
              : `${response.statusCode} ${text.trim()}`,
          );
        });
      },
    );
    request.on('timeout', () =>
      request.destroy(new Error(`no answer within ${answerMsMax / 1000} s`)),
    );
    request.on('error', (error) => resolve(error.message));
    request.end(body);
  });
}

function judge(route: Route, path: string, body: string, text: string): string | undefined {
  const answer = answerSchema.parse(JSON.parse(text));
  if (answer.service !== route.service) return `answered by ${answer.service}`;
  if (answer.path !== path) return `path became ${answer.path}`;
  if (answer.body !== body) return 'the body was changed';
  if (!answer.peer.includes(route.peer)) return `the caller was taken for ${answer.peer}`;
  return undefined;
}

const answerSchema = z.object({
  service: z.string(),
  path: z.string(),
  body: z.string(),
  peer: z.string(),
});

const keptPaceMs = 10;
const freshPaceMs = 20;
const answerMsMax = 10_000;
const failuresKept = 20;
const latenciesKept = 20_000;
