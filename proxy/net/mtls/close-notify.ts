/**
 * Whether a TLS peer said that it had nothing more to say. Only its `close_notify` says so (RFC 8446 §6.1): where the
 * end of a connection is the end of what was said, a bare end of TCP may be somebody's who wants it to look complete.
 */

import { TLSSocket } from 'node:tls';

/**
 * Has {@link endedByBreak} know. Node emits 'end' in both cases and tells them apart nowhere, so it is looked at in the
 * moment in which the end comes: `close_notify` is found in what is read from TCP, which is read on meanwhile, whereas
 * the end of TCP is what stops its being read. A runtime in which this cannot be seen is taken at its 'end'.
 */
export function watchForBreak(socket: TLSSocket): void {
  socket.push = pushAndLook;
}

/** Whether the 'end' that a watched socket has emitted, or will, came without `close_notify`. */
export function endedByBreak(socket: TLSSocket): boolean {
  return broken.has(socket);
}

const broken = new WeakSet<TLSSocket>();

function pushAndLook(this: TLSSocket, chunk: unknown, encoding?: BufferEncoding): boolean {
  if (chunk === null && isTcpAtItsEnd(this)) broken.add(this);
  return TLSSocket.prototype.push.call(this, chunk, encoding);
}

function isTcpAtItsEnd(socket: TLSSocket): boolean {
  const handle = (socket as TLSSocket & { readonly _handle?: TlsHandle | null })._handle;
  // What is not read cannot come to its end: `close_notify` stood in what was read before.
  if (handle?.reading !== true) return false;
  // libuv answers UV_EALREADY while it reads. Where it has met the end, it begins again, and meets the end again.
  return handle._parent?.readStart?.() === 0;
}

interface TlsHandle {
  readonly reading?: boolean;
  /** The TCP connection that TLS stands on. */
  readonly _parent?: { readStart?(): unknown };
}
