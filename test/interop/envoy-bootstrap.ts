/**
 * A minimal Envoy configuration that fetches its certificate and its trust from the agent's socket, with
 * one plain listener towards our sidecar and one mTLS listener for our sidecar to come in by.
 */

export interface EnvoyPorts {
  readonly admin: number;
  /** Plain HTTP in, mTLS out to `peer`. */
  readonly front: number;
  /** mTLS in, plain HTTP out to `app`. */
  readonly back: number;
  readonly peer: number;
  readonly app: number;
}

export function envoyBootstrap(agentSocket: string, ports: EnvoyPorts, sidecarId: string): unknown {
  return {
    node: { id: 'envoy-1', cluster: 'envoy' },
    admin: { address: socketAddress(ports.admin) },
    static_resources: {
      // The agent first, so that whatever needs a secret can warm.
      clusters: [
        agentCluster(agentSocket),
        peerCluster(ports.peer, sidecarId),
        plainCluster('app', ports.app),
      ],
      listeners: [
        listener('front', ports.front, 'peer'),
        { ...listener('back', ports.back, 'app', downstreamTls({ exact: sidecarId }, 'ALL')) },
      ],
    },
  };
}

/** How Envoy asks: for the state of the world, or for what changed. */
export type SdsApi = 'GRPC' | 'DELTA_GRPC';

export interface SelfPorts extends Pick<EnvoyPorts, 'admin' | 'front' | 'back' | 'app'> {
  /** mTLS in with a certificate by the name `extra`, which only an alias of the agent gives. */
  readonly extra: number;
}

/** An Envoy that calls itself: plain HTTP in at `front`, mTLS to its own `back`, plain HTTP out to `app`. */
export function envoySelfBootstrap(
  agentSocket: string,
  ports: SelfPorts,
  ownId: string,
  api: SdsApi,
): unknown {
  const secrets = sdsConfigOf(api);
  const own = { exact: ownId };
  return {
    node: { id: 'envoy-3', cluster: 'envoy' },
    admin: { address: socketAddress(ports.admin) },
    static_resources: {
      clusters: [
        agentCluster(agentSocket),
        peerCluster(ports.back, ownId, secrets),
        plainCluster('app', ports.app),
      ],
      listeners: [
        listener('front', ports.front, 'peer'),
        listener('back', ports.back, 'app', downstreamTls(own, 'ALL', secrets)),
        listener('extra', ports.extra, 'app', downstreamTls(own, 'ALL', secrets, 'extra')),
      ],
    },
  };
}

export interface RevocationPorts {
  readonly admin: number;
  /** mTLS in, trust from `ALL`: Envoy's SPIFFE validator. */
  readonly byAll: number;
  /** mTLS in, trust from `ROOTCA`: Envoy's own validator. */
  readonly byRoots: number;
  readonly app: number;
}

/** Two listeners that differ in how they judge a peer, for any peer of the trust domain. */
export function envoyRevocationBootstrap(agentSocket: string, ports: RevocationPorts): unknown {
  const anybody = { prefix: 'spiffe://mesh.test/' };
  return {
    node: { id: 'envoy-2', cluster: 'envoy' },
    admin: { address: socketAddress(ports.admin) },
    static_resources: {
      clusters: [agentCluster(agentSocket), plainCluster('app', ports.app)],
      listeners: [
        listener('all', ports.byAll, 'app', downstreamTls(anybody, 'ALL')),
        listener('roots', ports.byRoots, 'app', downstreamTls(anybody, 'ROOTCA')),
      ],
    },
  };
}

export interface FederationPorts {
  readonly admin: number;
  /** mTLS in, for any peer whom the bundle of its own trust domain vouches for. */
  readonly everybody: number;
  /** mTLS in, for the partner's workloads alone. */
  readonly partner: number;
  readonly app: number;
}

/** Two listeners: one with the roots of every trust domain, one with those of `spiffe://partner.test`. */
export function envoyFederationBootstrap(agentSocket: string, ports: FederationPorts): unknown {
  const partner = 'spiffe://partner.test';
  return {
    node: { id: 'envoy-4', cluster: 'envoy' },
    admin: { address: socketAddress(ports.admin) },
    static_resources: {
      clusters: [agentCluster(agentSocket), plainCluster('app', ports.app)],
      listeners: [
        listener('all', ports.everybody, 'app', downstreamTls({ prefix: 'spiffe://' }, 'ALL')),
        listener(
          'partner',
          ports.partner,
          'app',
          downstreamTls({ prefix: `${partner}/` }, partner),
        ),
      ],
    },
  };
}

type PeerMatcher = { readonly exact: string } | { readonly prefix: string };

// Identical bytes wherever it is used: Envoy takes two spellings for two subscriptions.
const sdsConfigOf = (api: SdsApi): unknown => ({
  resource_api_version: 'V3',
  api_config_source: {
    api_type: api,
    transport_api_version: 'V3',
    grpc_services: [{ envoy_grpc: { cluster_name: 'agent_sds' } }],
  },
});
const sdsConfig = sdsConfigOf('GRPC');

function commonTls(
  peer: PeerMatcher,
  trust: string,
  secrets: unknown,
  certificate: string,
): unknown {
  return {
    tls_params: {
      tls_minimum_protocol_version: 'TLSv1_3',
      tls_maximum_protocol_version: 'TLSv1_3',
    },
    tls_certificate_sds_secret_configs: [{ name: certificate, sds_config: secrets }],
    combined_validation_context: {
      default_validation_context: {
        match_typed_subject_alt_names: [{ san_type: 'URI', matcher: peer }],
      },
      validation_context_sds_secret_config: { name: trust, sds_config: secrets },
    },
  };
}

function downstreamTls(
  peer: PeerMatcher,
  trust: string,
  secrets: unknown = sdsConfig,
  certificate = 'default',
): unknown {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${tlsTypes}.DownstreamTlsContext`,
      require_client_certificate: true,
      // A ticket would let a peer in again on trust that has been withdrawn since.
      disable_stateless_session_resumption: true,
      common_tls_context: commonTls(peer, trust, secrets, certificate),
    },
  };
}

function peerCluster(port: number, peerId: string, secrets: unknown = sdsConfig): unknown {
  return {
    ...(plainCluster('peer', port) as object),
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': `${tlsTypes}.UpstreamTlsContext`,
        common_tls_context: commonTls({ exact: peerId }, 'ALL', secrets, 'default'),
      },
    },
  };
}

function agentCluster(socket: string): unknown {
  return {
    name: 'agent_sds',
    type: 'STATIC',
    connect_timeout: '1s',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: 'agent_sds',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: socket } } } }] }],
    },
  };
}

function plainCluster(name: string, port: number): unknown {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    // New connections all the time, so that each certificate really is used in handshakes.
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        common_http_protocol_options: { max_requests_per_connection: 20 },
        explicit_http_config: { http_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(port) } }] }],
    },
  };
}

function listener(name: string, port: number, cluster: string, transportSocket?: unknown): object {
  return {
    name,
    address: socketAddress(port),
    filter_chains: [
      {
        ...(transportSocket === undefined ? {} : { transport_socket: transportSocket }),
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type':
                'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
              stat_prefix: name,
              http_filters: [
                {
                  name: 'envoy.filters.http.router',
                  typed_config: {
                    '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router',
                  },
                },
              ],
              route_config: {
                virtual_hosts: [
                  {
                    name: 'all',
                    domains: ['*'],
                    routes: [{ match: { prefix: '/' }, route: { cluster } }],
                  },
                ],
              },
            },
          },
        ],
      },
    ],
  };
}

function socketAddress(port: number): unknown {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

const tlsTypes = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3';
