/** The agent's admin API, assembled: what operators, probes and scrapers ask of it on its own Unix socket. */

import {
  agentLivezOperation,
  agentMetricsOperation,
  agentReadyzOperation,
  agentStatusOperation,
  explainOperation,
  sdsClientsOperation,
  sdsResendOperation,
  sdsWatchOperation,
} from '../../api/index.ts';
import type { Closable, Logger, Random } from '../../core/index.ts';
import { explainProcess } from '../explain/explain-process.ts';
import { createAgentMetrics, type ProcessUsage } from '../metrics/agent-metrics.ts';
import type { AgentSources } from './agent-sources.ts';
import { type AdminRoute, serveOnSocket } from './http-server.ts';
import { whyNotReady } from './readiness.ts';
import { sdsClients } from './sds-view.ts';
import { SdsWatchers } from './sds-watch.ts';
import { agentStatus } from './status-view.ts';

/** Throws ListenError or SocketPathError. */
export function startAgentAdmin(
  socketPath: string,
  sources: AgentSources,
  deps: { readonly random: Random; readonly log: Logger },
): Promise<Closable> {
  const metrics = createAgentMetrics(sources, usageOfProcess);
  const watchers = new SdsWatchers(sources, deps.log);
  const routes: AdminRoute[] = [
    {
      operation: agentStatusOperation,
      answer: async () => ({ body: agentStatus(sources) }),
    },
    {
      operation: sdsClientsOperation,
      answer: async () => ({ body: await sdsClients(sources) }),
    },
    {
      operation: sdsWatchOperation,
      async answer({ response, gone }) {
        await watchers.serve(response, gone);
        return undefined;
      },
    },
    {
      operation: sdsResendOperation,
      async answer({ body }) {
        const { name } = sdsResendOperation.body.parse(body);
        return { body: { streams: sources.sds.control.resend(name) } };
      },
    },
    {
      operation: explainOperation,
      async answer({ query, peer }) {
        const { pid } = explainOperation.query.parse(query);
        return { body: await explainProcess(pid, peer, sources) };
      },
    },
    {
      operation: agentMetricsOperation,
      answer: () => metrics.text(),
    },
    {
      operation: agentLivezOperation,
      answer: async () => ({ body: { status: 'ok' } }),
    },
    {
      operation: agentReadyzOperation,
      async answer() {
        const reasons = whyNotReady(sources);
        if (reasons.length === 0) return { body: { status: 'ok', reasons } };
        return { status: 503, body: { status: 'not ready', reasons } };
      },
    },
  ];
  return serveOnSocket(socketPath, {
    routes,
    ...deps,
    onEnd: (operation, outcome) => metrics.ended(operation, outcome),
  });
}

function usageOfProcess(): ProcessUsage {
  const { user, system } = process.cpuUsage();
  return { cpuSeconds: (user + system) / 1e6, residentBytes: process.memoryUsage.rss() };
}
