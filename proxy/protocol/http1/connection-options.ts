/** The Connection field (RFC 9110 §7.6.1): what a sender says about this connection alone. */

import { fieldStride, type HeaderBlock } from './header-block.ts';
import { type Http1ErrorEvent, refuse } from './http1-event.ts';
import type { MinorVersion } from './http-version.ts';
import { knownField } from './known-field.ts';
import { isEvery, isTokenOctet, trimBlanks } from './octets.ts';

export interface ConnectionOptions {
  readonly close: boolean;
  readonly keepAlive: boolean;
  readonly upgrade: boolean;
  /** Other options, folded: names of fields that must not be forwarded. */
  readonly named: readonly string[];
}

export function readConnectionOptions(headers: HeaderBlock): ConnectionOptions | Http1ErrorEvent {
  let at = headers.indexOfKnown(knownField.connection);
  if (at === -1) return noOptions;
  if (!headers.isRepeated(knownField.connection)) {
    // Nearly every sender writes one of these two, so they are told without making a string.
    if (headers.valueEquals(at, 'keep-alive')) return onlyKeepAlive;
    if (headers.valueEquals(at, 'close')) return onlyClose;
  }
  const options = { close: false, keepAlive: false, upgrade: false, named: new Array<string>() };
  for (; at !== -1; at = headers.indexOfKnown(knownField.connection, at + fieldStride)) {
    for (const part of headers.valueAt(at).split(',')) {
      const option = trimBlanks(part).toLowerCase();
      // RFC 9110 §5.6.1.2: empty list elements are ignored.
      if (option === '') continue;
      if (!isEvery(isTokenOctet, option)) {
        return refuse('connection_option_invalid', 'a connection option is not a token');
      }
      // Folded as the encoder folds it, or `content_length` would take Content-Length away.
      const name = option.replaceAll('_', '-');
      if (endToEnd.has(name)) {
        return refuse('connection_option_invalid', `Connection names the field ${name}`);
      }
      if (option === 'close') options.close = true;
      else if (option === 'keep-alive') options.keepAlive = true;
      else if (option === 'upgrade') options.upgrade = true;
      else options.named.push(name);
      if (options.named.length > namedMax) {
        return refuse('connection_option_invalid', `Connection names more than ${namedMax} fields`);
      }
    }
  }
  return options;
}

/** RFC 9112 §9.3. HTTP/1.0 with `keep-alive` persists: to its client a sidecar is the server. */
export function persists(options: ConnectionOptions, minorVersion: MinorVersion): boolean {
  return !options.close && (minorVersion === 1 || options.keepAlive);
}

const noOptions: ConnectionOptions = Object.freeze({
  close: false,
  keepAlive: false,
  upgrade: false,
  named: [],
});
const onlyKeepAlive: ConnectionOptions = Object.freeze({ ...noOptions, keepAlive: true });
const onlyClose: ConnectionOptions = Object.freeze({ ...noOptions, close: true });

// Each is looked for among all fields when the head is forwarded; honest senders name one or two.
const namedMax = 32;

// RFC 9110 §7.6.1: a field meant for every recipient must not be named. Obeying would let a client
// take away what the next hop frames, routes or authorises by.
const endToEnd: ReadonlySet<string> = new Set([
  'authorization',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'expect',
  'forwarded',
  'host',
  'transfer-encoding',
  'x-forwarded-client-cert',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
]);
