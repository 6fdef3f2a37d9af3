/** What an agent measures of itself, read when somebody looks. docs/agent/metrics.md explains each. */

import { type AgentSources, missingEntries } from '../admin/agent-sources.ts';
import { whyNotReady } from '../admin/readiness.ts';
import { sdsCounts } from '../admin/status-view.ts';

export interface AgentMetrics {
  /** A call of the admin API has ended. */
  ended(operation: string, outcome: string): void;
  text(): Promise<{ readonly type: string; readonly body: string }>;
}

export interface ProcessUsage {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
}

/** Until the first look nothing is loaded and nothing is kept but the counts of calls. */
export function createAgentMetrics(sources: AgentSources, usage: () => ProcessUsage): AgentMetrics {
  const calls = new Map<string, Call>();
  let registry: Promise<{ metrics(): Promise<string>; readonly contentType: string }> | undefined;
  return {
    ended(operation, outcome) {
      const key = `${operation} ${outcome}`;
      const known = calls.get(key) ?? { labels: { operation, outcome }, value: 0 };
      // Both are words of ours, so there are few; the bound is for what nobody foresaw.
      if (calls.size < callsMax || calls.has(key))
        calls.set(key, { ...known, value: known.value + 1 });
    },
    async text() {
      registry ??= registryOf([...measured(sources, usage), callsOf(calls)]);
      const { contentType, metrics } = await registry.then((one) => ({
        contentType: one.contentType,
        metrics: () => one.metrics(),
      }));
      return { type: contentType, body: await metrics() };
    },
  };
}

interface Call {
  readonly labels: { readonly operation: string; readonly outcome: string };
  readonly value: number;
}

interface Measure {
  readonly type: 'gauge' | 'counter';
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  /** Absent values are left out. */
  readonly read: () => number | undefined | readonly Sample[];
}

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

async function registryOf(measures: readonly Measure[]) {
  const { Counter, Gauge, Registry } = await import('prom-client');
  const registry = new Registry();
  for (const { type, name, help, labels = [], read } of measures) {
    const shape = { name, help, labelNames: [...labels], registers: [] };
    const samples = (): readonly Sample[] => {
      const value = read();
      if (value === undefined) return [];
      return typeof value === 'number' ? [{ labels: {}, value }] : value;
    };
    if (type === 'gauge') {
      const gauge = new Gauge({
        ...shape,
        collect() {
          this.reset();
          // Without labels it begins at 0, which would be a value.
          if (labels.length === 0) this.remove();
          for (const sample of samples()) this.set({ ...sample.labels }, sample.value);
        },
      });
      registry.registerMetric(gauge);
    } else {
      const counter = new Counter({
        ...shape,
        collect() {
          this.reset();
          for (const sample of samples()) this.inc({ ...sample.labels }, sample.value);
        },
      });
      registry.registerMetric(counter);
    }
  }
  return registry;
}

function callsOf(calls: ReadonlyMap<string, Call>): Measure {
  return {
    type: 'counter',
    name: 'signet_agent_admin_calls_total',
    help: 'Calls of the admin API by how they ended: ok, or the code of the problem',
    labels: ['operation', 'outcome'],
    read: () => [...calls.values()],
  };
}

function measured(sources: AgentSources, usage: () => ProcessUsage): readonly Measure[] {
  return [
    ...ofCa(sources),
    ...ofSvids(sources),
    ...ofClients(sources),
    ...ofProcess(sources, usage),
  ];
}

function ofCa({ standing, state, attested }: AgentSources): readonly Measure[] {
  return [
    {
      type: 'gauge',
      name: 'signet_agent_ca_connected',
      help: '1 while the Sync stream to the CA is open',
      read: () => (standing.current().kind === 'connected' ? 1 : 0),
    },
    {
      type: 'gauge',
      name: 'signet_agent_ca_state_since_timestamp_seconds',
      help: 'When the link to the CA came to stand as it does',
      read: () => standing.current().sinceMs / 1000,
    },
    {
      type: 'gauge',
      name: 'signet_agent_revision',
      help: 'The newest state of the CA that is applied',
      read: () => {
        const known = state.current();
        return known === undefined ? undefined : Number(known.revision);
      },
    },
    {
      type: 'gauge',
      name: 'signet_agent_node_svid_expiry_timestamp_seconds',
      help: "When the node's own certificate ends",
      read: () => inSeconds(attested()?.node.notAfterMs),
    },
  ];
}

function ofSvids(sources: AgentSources): readonly Measure[] {
  const { svids, attested } = sources;
  return [
    {
      type: 'gauge',
      name: 'signet_agent_svids',
      help: 'Certificates held for workloads',
      read: () => svids.current().size,
    },
    {
      type: 'gauge',
      name: 'signet_agent_entries_missing',
      help: 'Entries of this node without a certificate',
      read: () => missingEntries(sources).length,
    },
    {
      type: 'gauge',
      name: 'signet_agent_entries_refused',
      help: 'Entries for which the CA refused a certificate last',
      read: () => attested()?.refusals.size ?? 0,
    },
    {
      type: 'gauge',
      name: 'signet_agent_survives_until_timestamp_seconds',
      help: 'When the first certificate that is served ends if nothing is renewed',
      read: () => inSeconds(attested()?.survival.survivesUntilMs),
    },
    {
      type: 'gauge',
      name: 'signet_agent_ready',
      help: '1 while identities can be served for some time to come',
      read: () => (whyNotReady(sources).length === 0 ? 1 : 0),
    },
  ];
}

function ofClients(sources: AgentSources): readonly Measure[] {
  const { attestorStatus } = sources;
  const perAttestor = (value: (status: { failing: boolean; failureCount: number }) => number) =>
    attestorStatus
      .current()
      .map((each) => ({ labels: { attestor: each.name }, value: value(each) }));
  return [
    {
      type: 'gauge',
      name: 'signet_agent_sds_streams',
      help: 'Open SDS streams',
      read: () => sdsCounts(sources).streams,
    },
    {
      type: 'gauge',
      name: 'signet_agent_sds_secrets',
      help: 'Secrets on SDS streams by how the client stands to the newest version sent',
      labels: ['state'],
      read: () => {
        const { acknowledged, waiting, refused } = sdsCounts(sources);
        return Object.entries({ acknowledged, waiting, refused }).map(([state, value]) => ({
          labels: { state },
          value,
        }));
      },
    },
    {
      type: 'gauge',
      name: 'signet_agent_attestor_failing',
      help: '1 while the newest call of the attestor failed',
      labels: ['attestor'],
      read: () => perAttestor(({ failing }) => (failing ? 1 : 0)),
    },
    {
      type: 'counter',
      name: 'signet_agent_attestor_failures_total',
      help: 'Attestations that the attestor could not make',
      labels: ['attestor'],
      read: () => perAttestor(({ failureCount }) => failureCount),
    },
  ];
}

/** The names that Prometheus sites have for them; the package's own collectors would wake an idle agent. */
function ofProcess({ startedAtMs }: AgentSources, usage: () => ProcessUsage): readonly Measure[] {
  return [
    {
      type: 'counter',
      name: 'process_cpu_seconds_total',
      help: 'CPU time of the process',
      read: () => usage().cpuSeconds,
    },
    {
      type: 'gauge',
      name: 'process_resident_memory_bytes',
      help: 'Resident memory of the process',
      read: () => usage().residentBytes,
    },
    {
      type: 'gauge',
      name: 'process_start_time_seconds',
      help: 'When the agent was started',
      read: () => startedAtMs / 1000,
    },
  ];
}

function inSeconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}

const callsMax = 256;
