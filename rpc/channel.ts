/** Client channels: over a Unix socket in clear, over TCP in mutual TLS with the server known by SPIFFE ID. */

import type { SecureContext } from 'node:tls';
import {
  type ChannelCredentials,
  type ClientOptions,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { checkSocketPath } from '../core/index.ts';
import { fromServiceError, RpcError } from './status.ts';

/** What a generated client is constructed with: `new NodeApiClient(...)`. */
export interface Channel {
  readonly target: string;
  readonly credentials: ChannelCredentials;
  readonly options: ClientOptions;
}

/** A channel to the server on a Unix socket. Throws SocketPathError. */
export function unixChannel(path: string): Channel {
  return {
    target: `unix://${checkSocketPath(path)}`,
    credentials: credentials.createInsecure(),
    // The default authority would be the escaped path, which some servers refuse as a host name.
    options: { ...commonOptions, 'grpc.default_authority': 'localhost' },
  };
}

/**
 * A channel over TLS. `context` holds what the server's chain must lead to; `checkServer` then sees the
 * server's leaf (DER) and answers why it is not the wanted one, or undefined.
 */
export function tlsChannel(
  address: { readonly host: string; readonly port: number },
  context: SecureContext,
  checkServer: (leaf: Uint8Array) => string | undefined,
): Channel {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return {
    target: `${host}:${address.port}`,
    credentials: credentials.createFromSecureContext(context, {
      checkServerIdentity(_host, certificate) {
        const reason = checkServer(new Uint8Array(certificate.raw));
        return reason === undefined ? undefined : new Error(reason);
      },
    }),
    // The name is only there because an IP address may not be sent as SNI; nobody trusts by it.
    options: {
      ...commonOptions,
      'grpc.ssl_target_name_override': tlsServerName,
      'grpc.default_authority': tlsServerName,
    },
  };
}

/** One unary call as a promise. Rejects with {@link RpcError}. `what` names the far side in the error. */
export function callUnary<Response>(
  what: string,
  deadlineMs: number,
  start: (
    metadata: Metadata,
    options: { deadline: Date },
    done: (error: ServiceError | null, response: Response) => void,
  ) => unknown,
  wallMs: number,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    start(new Metadata(), { deadline: new Date(wallMs + deadlineMs) }, (error, response) => {
      if (error === null) resolve(response);
      else reject(fromServiceError(error, what));
    });
  });
}

/** The messages of a server stream; the iteration throws {@link RpcError} when the stream fails. */
export async function* messagesOf<Message>(
  what: string,
  stream: ClientReadableStream<Message>,
): AsyncGenerator<Message> {
  try {
    // grpc-js types its streams as streams of anything; the deserializer has made them messages.
    for await (const message of stream as AsyncIterable<Message>) yield message;
  } catch (error) {
    throw isServiceError(error)
      ? fromServiceError(error, what)
      : new RpcError('internal', 'rpc_stream', what, error);
  } finally {
    stream.cancel();
  }
}

/** Metadata with the given text values. */
export function metadataOf(values: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(values)) metadata.set(key, value);
  return metadata;
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error;
}

/** What every TLS client here sends as SNI: a server asks for its certificate at each handshake by it. */
export const tlsServerName = 'ca.signet.internal';

const commonOptions: ClientOptions = {
  // Reconnecting is jittered by grpc-js. Calls fail at once between its tries, so a longer ceiling would
  // only make an outage last longer than it did.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
  // Two clients of one process must not share a connection: the server knows its callers per connection.
  'grpc.use_local_subchannel_pool': 1,
};
