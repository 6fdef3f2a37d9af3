/** Heads as they are forwarded: the received lines, less what concerned one hop, plus the edits. */

import type { Buffer } from 'node:buffer';
import {
  checkHostValue,
  checkTarget,
  checkUpgrade,
  type HeadEdits,
  Http1EncodeError,
  type RequestHeadEdits,
  type ResponseHeadEdits,
} from './head-edits.ts';
import { droppedNames, editedLines, writeHead } from './head-writer.ts';
import { hopByHopMask } from './header-block.ts';
import { knownField } from './known-field.ts';
import type { Framing } from './message-framing.ts';
import { trimBlanks } from './octets.ts';
import type { RequestHead } from './request-head.ts';
import type { ResponseHead } from './response-head.ts';

/**
 * The head of the request we send for `head`, as one buffer. It speaks HTTP/1.1 whatever the client
 * spoke (RFC 9110 §2.5) and asks in origin-form. Throws {@link Http1EncodeError} on a bad edit.
 */
export function encodeRequestHead(head: RequestHead, edits: RequestHeadEdits = {}): Buffer {
  const { target, host } = edits;
  if (target !== undefined) checkTarget(target);
  if (host !== undefined) checkHostValue(host);
  const keepsHost = host === undefined && head.headers.hasKnown(knownField.host);
  const keepsLine =
    keepsHost && target === undefined && head.minorVersion === 1 && head.targetForm !== 'absolute';
  return writeHead({
    startLine: keepsLine
      ? ''
      : `${head.method} ${target ?? forwardedTarget(head)} HTTP/1.1\r\n${keepsHost ? '' : hostLine(head, host)}`,
    from: keepsLine ? head.methodStart : (head.headers.fields[0] ?? head.headers.fieldsEnd),
    headers: head.headers,
    dropMask: keepsHost ? hopByHopMask : hopByHopMask | (1 << knownField.host),
    dropNames: droppedNames(edits, head.connection.named),
    ownLines: ownLines(edits, head.framing, edits.connection, acceptsTrailers(head)),
  });
}

/**
 * The head of the response we send for `head`, as one buffer. Throws {@link Http1EncodeError} on a
 * bad edit, and on a framing that does not fit the body that will come.
 */
export function encodeResponseHead(head: ResponseHead, edits: ResponseHeadEdits = {}): Buffer {
  const framing = edits.framing ?? head.framing;
  checkReframing(head.framing, framing);
  const keepsLine = head.minorVersion === 1 && head.hasReason;
  // RFC 9110 §8.6: no Content-Length in 1xx and 204; beside chunks it would contradict them.
  const keepsLength =
    framing.kind === 'length' || (framing.kind === 'none' && !head.interim && head.status !== 204);
  return writeHead({
    startLine: keepsLine ? '' : `HTTP/1.1 ${head.status} ${head.reason}\r\n`,
    from: keepsLine ? 0 : (head.headers.fields[0] ?? head.headers.fieldsEnd),
    headers: head.headers,
    dropMask: keepsLength ? hopByHopMask : hopByHopMask | (1 << knownField.contentLength),
    dropNames: droppedNames(edits, head.connection.named),
    // Only the close can end a body without length or chunks, so it is announced.
    ownLines: ownLines(
      edits,
      framing,
      framing.kind === 'until_close' ? 'close' : edits.connection,
      false,
    ),
  });
}

function ownLines(
  edits: HeadEdits,
  framing: Framing,
  connection: HeadEdits['connection'],
  acceptTrailers: boolean,
): string {
  let lines = editedLines(edits);
  if (framing.kind === 'chunked') lines += 'Transfer-Encoding: chunked\r\n';
  let options = connection ?? '';
  if (acceptTrailers) {
    // RFC 9110 §10.1.4: who sends TE names it in Connection.
    lines += 'TE: trailers\r\n';
    options += options === '' ? 'TE' : ', TE';
  }
  if (edits.upgrade !== undefined) {
    // RFC 9110 §7.8: so does who sends Upgrade.
    checkUpgrade(edits.upgrade);
    lines += `Upgrade: ${edits.upgrade}\r\n`;
    options += options === '' ? 'Upgrade' : ', Upgrade';
  }
  return options === '' ? lines : `${lines}Connection: ${options}\r\n`;
}

/** RFC 9110 §7.2: Host comes first where we write it; RFC 9112 §3.2: empty where none is known. */
function hostLine(head: RequestHead, host: string | undefined): string {
  return `Host: ${host ?? head.host ?? ''}\r\n`;
}

function forwardedTarget(head: RequestHead): string {
  return head.targetForm === 'authority' ? head.target : head.pathAndQuery;
}

/** RFC 9110 §10.1.4: `trailers` is kept across hops; the codings listed beside it are ours to state. */
function acceptsTrailers(head: RequestHead): boolean {
  if (!head.headers.hasKnown(knownField.te)) return false;
  const members = head.headers.get('te')?.toLowerCase().split(',') ?? [];
  return members.some((member) => trimBlanks(member) === 'trailers');
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
