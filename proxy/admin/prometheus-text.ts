/** The counters in Prometheus' text format, derived from their names so that none can be forgotten. */

/** What of the stats there are metrics of; those of one proxy, or of several workers together. */
export interface MeasuredStats {
  readonly memory: { readonly rssBytes: number };
  readonly listeners: Readonly<Record<string, object>>;
  readonly clusters: Readonly<Record<string, object>>;
  readonly secrets: readonly {
    readonly name: string;
    readonly accepted: number;
    readonly refused: number;
    readonly streams: number;
    readonly isConnected: boolean;
  }[];
  readonly tlsGeneration: number;
  readonly accessLogDropped: number;
}

export function prometheusText(stats: MeasuredStats): string {
  const families = new Map<string, string[]>();
  const add = (name: string, labels: string, value: number): void => {
    const lines = families.get(name) ?? [];
    lines.push(`${name}${labels} ${value}`);
    families.set(name, lines);
  };
  for (const [listener, counters] of Object.entries(stats.listeners)) {
    for (const [name, value] of Object.entries(counters)) {
      add(metricName('listener', name), `{listener="${listener}"}`, Number(value));
    }
  }
  for (const [cluster, counters] of Object.entries(stats.clusters)) {
    for (const [name, value] of Object.entries(counters)) {
      add(metricName('cluster', name), `{cluster="${cluster}"}`, Number(value));
    }
  }
  for (const { name, accepted, refused, streams, isConnected } of stats.secrets) {
    const labels = `{secret=${JSON.stringify(name)}}`;
    add('signet_proxy_sds_accepted_total', labels, accepted);
    add('signet_proxy_sds_refused_total', labels, refused);
    add('signet_proxy_sds_streams_total', labels, streams);
    add('signet_proxy_sds_connected', labels, isConnected ? 1 : 0);
  }
  add('signet_proxy_tls_generation', '', stats.tlsGeneration);
  add('signet_proxy_access_log_dropped_total', '', stats.accessLogDropped);
  add('signet_proxy_memory_rss_bytes', '', stats.memory.rssBytes);
  return [...families]
    .map(([name, lines]) => `# TYPE ${name} ${kindOf(name)}\n${lines.join('\n')}\n`)
    .join('');
}

/** `connectionsAccepted` of a listener is `signet_proxy_listener_connections_accepted_total`. */
function metricName(of: string, counter: string): string {
  const words = counter.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const isGauge = /(Active|Idle)$/.test(counter);
  return `signet_proxy_${of}_${words}${isGauge ? '' : '_total'}`;
}

function kindOf(name: string): 'counter' | 'gauge' {
  return name.endsWith('_total') ? 'counter' : 'gauge';
}
