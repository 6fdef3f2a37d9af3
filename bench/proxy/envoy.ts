/** Envoy doing the same hop as our sidecar: one worker, TLS 1.3, certificates from files, SPIFFE IDs judged both ways. */

import { freePorts } from '../../core/index.ts';
import type { Scope } from '../../core/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';
import type { ChildProgram } from '../child-program.ts';
import { startEnvoyProgram } from './envoy-program.ts';
import type { Hop, HopSetting, SharedPort } from './hop.ts';
import { type PemFiles, writePemFiles } from './mesh-identities.ts';

export async function startEnvoy(scope: Scope, envoy: string, setting: HopSetting): Promise<Hop> {
  const { directory, placement, identities, backend } = setting;
  const [plaintextPort = 0, tlsPort = 0, grpcPort = 0, relayPort = 0] = await freePorts(4);
  const files = writePemFiles(directory, 'envoy', identities.proxy, identities.root);
  const clientFacing = {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${tlsTypes}.DownstreamTlsContext`,
      require_client_certificate: true,
      // As with the others: sessions are not resumed.
      disable_stateless_session_resumption: true,
      disable_stateful_session_resumption: true,
      common_tls_context: commonTls(files, identities.client.id),
    },
  };
  const bootstrap = {
    static_resources: {
      listeners: [
        listener('plaintext', plaintextPort, httpFilter('plaintext', false)),
        listener('mtls', tlsPort, httpFilter('mtls', true), clientFacing),
        listener('grpc', grpcPort, httpFilter('grpc', false)),
        listener('relay', relayPort, relayFilter('relay'), clientFacing),
      ],
      clusters: [
        cluster('plaintext', backend.plaintextPort),
        cluster('mtls', backend.tlsPort, {
          name: 'envoy.transport_sockets.tls',
          typed_config: {
            '@type': `${tlsTypes}.UpstreamTlsContext`,
            max_session_keys: 0,
            common_tls_context: commonTls(files, identities.backend.id),
          },
        }),
        { ...cluster('grpc', backend.grpcPort), ...overHttp2 },
        cluster('relay', backend.relayPort),
      ],
    },
  };
  const program = await startEnvoyProgram(scope, {
    name: 'envoy',
    envoy,
    directory,
    placement: placement.underTest,
    bootstrap,
    port: tlsPort,
  });
  return { name: 'envoy', program, plaintextPort, tlsPort, grpcPort, relayPort };
}

/** A process that shares its port with another: Envoy's listeners do, if not told otherwise. */
export function startEnvoyProcess(
  scope: Scope,
  envoy: string,
  { directory, placement, backend }: HopSetting,
  { name, sharedPort, alonePort }: SharedPort,
): Promise<ChildProgram> {
  const ports = alonePort === undefined ? [sharedPort] : [sharedPort, alonePort];
  const filter = httpFilter('plaintext', false);
  const bootstrap = {
    static_resources: {
      listeners: ports.map((port) => listener(`at-${port}`, port, filter)),
      clusters: [cluster('plaintext', backend.plaintextPort)],
    },
  };
  const program = { name, envoy, directory, bootstrap, port: sharedPort };
  return startEnvoyProgram(scope, { ...program, placement: placement.everywhere });
}

function commonTls(files: PemFiles, peer: SpiffeId): unknown {
  return {
    tls_params: {
      tls_minimum_protocol_version: 'TLSv1_3',
      tls_maximum_protocol_version: 'TLSv1_3',
    },
    tls_certificates: [
      { certificate_chain: { filename: files.chain }, private_key: { filename: files.key } },
    ],
    validation_context: {
      trusted_ca: { filename: files.root },
      match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: peer } }],
    },
  };
}

function listener(name: string, port: number, filter: unknown, transportSocket?: unknown): unknown {
  const socket = transportSocket === undefined ? {} : { transport_socket: transportSocket };
  return {
    name,
    address: socketAddress(port),
    filter_chains: [{ ...socket, filters: [filter] }],
  };
}

function relayFilter(to: string): unknown {
  return {
    name: 'envoy.filters.network.tcp_proxy',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
      stat_prefix: to,
      cluster: to,
    },
  };
}

/** Passes requests on to a cluster; HTTP/2 is known by its preface. */
function httpFilter(to: string, isTls: boolean): unknown {
  const manager = {
    '@type':
      'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: to,
    // As our proxy does: the peer's identity is stated, and what the client claimed is dropped.
    ...(isTls
      ? {
          forward_client_cert_details: 'SANITIZE_SET',
          set_current_client_cert_details: { uri: true },
        }
      : {}),
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
          routes: [{ match: { prefix: '/' }, route: { cluster: to } }],
        },
      ],
    },
  };
  return { name: 'envoy.filters.network.http_connection_manager', typed_config: manager };
}

function cluster(name: string, port: number, transportSocket?: unknown): object {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    ...(transportSocket === undefined ? {} : { transport_socket: transportSocket }),
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(port) } }] }],
    },
  };
}

function socketAddress(port: number): unknown {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

const overHttp2 = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};
const tlsTypes = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3';
