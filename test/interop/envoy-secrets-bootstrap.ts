/** An Envoy that takes session-ticket keys and a named secret from the agent, besides its certificate. */

import type { SdsApi } from './envoy-bootstrap.ts';

export interface SecretsPorts {
  readonly admin: number;
  /** TLS in, so that a client may come back with a ticket; the secret is added towards `app`. */
  readonly front: number;
  readonly app: number;
  /** Absent: it makes its own, as Envoy does by itself. */
  readonly ticketKeys?: 'session-ticket-keys';
  /** Absent: the state of the world. */
  readonly api?: SdsApi;
}

/** The Credential Injector writes the secret `api-token` into each request's `Authorization`. */
export function envoySecretsBootstrap(agentSocket: string, ports: SecretsPorts): unknown {
  const secrets = sdsConfigOf(ports.api ?? 'GRPC');
  return {
    node: { id: `envoy-${ports.front}`, cluster: 'envoy' },
    admin: { address: socketAddress(ports.admin) },
    static_resources: {
      clusters: [
        {
          name: 'agent_sds',
          type: 'STATIC',
          connect_timeout: '1s',
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': `${types}.upstreams.http.v3.HttpProtocolOptions`,
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: assignment('agent_sds', { pipe: { path: agentSocket } }),
        },
        {
          name: 'app',
          type: 'STATIC',
          connect_timeout: '1s',
          load_assignment: assignment('app', socketAddress(ports.app)),
        },
      ],
      listeners: [
        {
          name: 'front',
          address: socketAddress(ports.front),
          filter_chains: [
            {
              transport_socket: downstreamTls(ports.ticketKeys, secrets),
              filters: [connectionManagerOf(secrets)],
            },
          ],
        },
      ],
    },
  };
}

const types = 'type.googleapis.com/envoy.extensions';

const sdsConfigOf = (api: SdsApi): unknown => ({
  resource_api_version: 'V3',
  api_config_source: {
    api_type: api,
    transport_api_version: 'V3',
    grpc_services: [{ envoy_grpc: { cluster_name: 'agent_sds' } }],
  },
});

const downstreamTls = (ticketKeys: string | undefined, secrets: unknown): unknown => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: {
    '@type': `${types}.transport_sockets.tls.v3.DownstreamTlsContext`,
    ...(ticketKeys === undefined
      ? {}
      : { session_ticket_keys_sds_secret_config: { name: ticketKeys, sds_config: secrets } }),
    common_tls_context: {
      tls_params: {
        tls_minimum_protocol_version: 'TLSv1_3',
        tls_maximum_protocol_version: 'TLSv1_3',
      },
      tls_certificate_sds_secret_configs: [{ name: 'default', sds_config: secrets }],
    },
  },
});

const credentialInjectorOf = (secrets: unknown): unknown => ({
  name: 'envoy.filters.http.credential_injector',
  typed_config: {
    '@type': `${types}.filters.http.credential_injector.v3.CredentialInjector`,
    overwrite: true,
    credential: {
      name: 'envoy.http.injected_credentials.generic',
      typed_config: {
        '@type': `${types}.http.injected_credentials.generic.v3.Generic`,
        credential: { name: 'api-token', sds_config: secrets },
      },
    },
  },
});

const connectionManagerOf = (secrets: unknown): unknown => ({
  name: 'envoy.filters.network.http_connection_manager',
  typed_config: {
    '@type': `${types}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'front',
    http_filters: [
      credentialInjectorOf(secrets),
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': `${types}.filters.http.router.v3.Router` },
      },
    ],
    route_config: {
      virtual_hosts: [
        {
          name: 'app',
          domains: ['*'],
          routes: [{ match: { prefix: '/' }, route: { cluster: 'app' } }],
        },
      ],
    },
  },
});

function assignment(name: string, address: unknown): unknown {
  return {
    cluster_name: name,
    endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
  };
}

function socketAddress(port: number): unknown {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}
