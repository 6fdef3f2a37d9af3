/** The protocols this proxy speaks: a new one is a folder in `protocol/`, one in `stream/`, and a row here. */

import { tcpCodec } from '../protocol/tcp/tcp-codec.ts';
import type { ExchangeProtocol } from '../stream/exchange-protocol.ts';
import { http1Protocol } from '../stream/http1-protocol.ts';
import { http2Protocol } from '../stream/http2-protocol.ts';

/** In the order in which detection asks them. */
export type ProtocolTable = readonly ExchangeProtocol[];

export const protocols: ProtocolTable = [http2Protocol, http1Protocol];

export const protocolNames: readonly string[] = protocols.map(({ codec }) => codec.name);

/** The row of that name; undefined for `auto` and for what is relayed. */
export function protocolNamed(table: ProtocolTable, name: string): ExchangeProtocol | undefined {
  return table.find(({ codec }) => codec.name === name);
}

/** Whether connections of that protocol are relayed unread. */
export function isRelayed(name: string): boolean {
  return name === tcpCodec.name;
}

/** What ALPN offers for a protocol of the config. A peer that wants only something else is told so in its handshake. */
export function alpnOf(table: ProtocolTable, name: string): readonly string[] {
  if (isRelayed(name)) return [];
  const one = protocolNamed(table, name);
  const offered = one === undefined ? table : [one];
  return offered.flatMap(({ codec }) => (codec.alpn === undefined ? [] : [codec.alpn]));
}
