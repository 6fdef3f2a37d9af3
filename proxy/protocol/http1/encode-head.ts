/** Heads as they are forwarded: the received lines, less what concerned one hop, plus the edits. */

import type { Buffer } from 'node:buffer';
import {
  checkHostValue,
  checkTarget,
  type HeadEdits,
  Http1EncodeError,
  type RequestHeadEdits,
  type ResponseHeadEdits,
} from './head-edits.ts';
import { droppedNames, editedBytes, HeadWriter } from './head-writer.ts';
import { hopByHopMask } from './header-block.ts';
import { knownField } from './known-field.ts';
import type { Framing } from './message-framing.ts';
import type { RequestHead } from './request-head.ts';
import type { ResponseHead } from './response-head.ts';

/**
 * The head of the request we send for `head`, as one buffer. It speaks HTTP/1.1 whatever the client
 * spoke (RFC 9110 §2.5) and asks in origin-form. Throws {@link Http1EncodeError} on a bad edit.
 */
export function encodeRequestHead(head: RequestHead, edits: RequestHeadEdits = {}): Buffer {
  const target = edits.target ?? forwardedTarget(head);
  if (edits.target !== undefined) checkTarget(edits.target);
  if (edits.host !== undefined) checkHostValue(edits.host);
  const keepsHost = edits.host === undefined && head.headers.hasKnown(knownField.host);
  const host = keepsHost ? '' : (edits.host ?? head.host ?? '');
  const writer = new HeadWriter(
    head.raw.length + target.length + host.length + editedBytes(edits) + ownBytesMax,
  );
  writer.text(`${head.method} ${target} HTTP/1.1\r\n`);
  // RFC 9110 §7.2: Host comes first where we write it.
  if (!keepsHost) writer.field('Host', host);
  const dropMask = keepsHost ? hopByHopMask : hopByHopMask | (1 << knownField.host);
  writer.keptFields(head.headers, dropMask, droppedNames(edits, head.connection.named));
  writeOwnFields(writer, edits, head.framing, acceptsTrailers(head));
  return writer.finish();
}

/**
 * The head of the response we send for `head`, as one buffer. Throws {@link Http1EncodeError} on a
 * bad edit, and on a framing that does not fit the body that will come.
 */
export function encodeResponseHead(head: ResponseHead, edits: ResponseHeadEdits = {}): Buffer {
  const framing = edits.framing ?? head.framing;
  checkReframing(head.framing, framing);
  const writer = new HeadWriter(head.raw.length + editedBytes(edits) + ownBytesMax);
  writer.text(`HTTP/1.1 ${head.status} `);
  writer.slice(head.raw, head.reasonStart, head.reasonEnd);
  writer.text('\r\n');
  // RFC 9110 §8.6: no Content-Length in 1xx and 204; beside chunks it would contradict them.
  const keepsLength =
    framing.kind === 'length' || (framing.kind === 'none' && !head.interim && head.status !== 204);
  const dropMask = keepsLength ? hopByHopMask : hopByHopMask | (1 << knownField.contentLength);
  writer.keptFields(head.headers, dropMask, droppedNames(edits, head.connection.named));
  // Only the close can end such a body, so it is announced.
  const own = framing.kind === 'until_close' ? { ...edits, connection: 'close' as const } : edits;
  writeOwnFields(writer, own, framing, false);
  return writer.finish();
}

function writeOwnFields(
  writer: HeadWriter,
  edits: HeadEdits,
  framing: Framing,
  acceptTrailers: boolean,
): void {
  for (const [name, value] of edits.set ?? []) writer.field(name, value);
  for (const [name, value] of edits.add ?? []) writer.field(name, value);
  if (framing.kind === 'chunked') writer.text('Transfer-Encoding: chunked\r\n');
  if (acceptTrailers) writer.text('TE: trailers\r\n');
  // RFC 9110 §10.1.4: who sends TE names it in Connection.
  const options = [edits.connection, acceptTrailers ? 'TE' : undefined].filter(isGiven);
  if (options.length > 0) writer.field('Connection', options.join(', '));
  writer.text('\r\n');
}

function forwardedTarget(head: RequestHead): string {
  return head.targetForm === 'authority' ? head.target : head.pathAndQuery;
}

/** RFC 9110 §10.1.4: `trailers` is kept across hops; the codings listed beside it are ours to state. */
function acceptsTrailers(head: RequestHead): boolean {
  if (!head.headers.hasKnown(knownField.te)) return false;
  const members = head.headers.get('te')?.toLowerCase().split(',') ?? [];
  return members.some((member) => member.trim() === 'trailers');
}

function checkReframing(received: Framing, framing: Framing): void {
  if (framing === received) return;
  const isFree = framing.kind === 'chunked' || framing.kind === 'until_close';
  if (isFree && received.kind !== 'none') return;
  throw new Http1EncodeError(
    'framing_impossible',
    `a body received as ${received.kind} cannot be sent as ${framing.kind}`,
  );
}

function isGiven(option: string | undefined): option is string {
  return option !== undefined;
}

// Start line less its variable parts, Transfer-Encoding, TE, Connection, empty line, `Host: `.
const ownBytesMax = 160;
