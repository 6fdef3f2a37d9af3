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
        { ...listener('back', ports.back, 'app', downstreamTls(sidecarId)) },
      ],
    },
  };
}

// Identical bytes wherever it is used: Envoy takes two spellings for two subscriptions.
const sdsConfig = {
  resource_api_version: 'V3',
  api_config_source: {
    api_type: 'GRPC',
    transport_api_version: 'V3',
    grpc_services: [{ envoy_grpc: { cluster_name: 'agent_sds' } }],
  },
};

function commonTls(peerId: string): unknown {
  return {
    tls_params: {
      tls_minimum_protocol_version: 'TLSv1_3',
      tls_maximum_protocol_version: 'TLSv1_3',
    },
    tls_certificate_sds_secret_configs: [{ name: 'default', sds_config: sdsConfig }],
    combined_validation_context: {
      default_validation_context: {
        match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: peerId } }],
      },
      validation_context_sds_secret_config: { name: 'ALL', sds_config: sdsConfig },
    },
  };
}

function downstreamTls(peerId: string): unknown {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${tlsTypes}.DownstreamTlsContext`,
      require_client_certificate: true,
      // A ticket would let a peer in again on trust that has been withdrawn since.
      disable_stateless_session_resumption: true,
      common_tls_context: commonTls(peerId),
    },
  };
}

function peerCluster(port: number, peerId: string): unknown {
  return {
    ...(plainCluster('peer', port) as object),
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': `${tlsTypes}.UpstreamTlsContext`,
        common_tls_context: commonTls(peerId),
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
