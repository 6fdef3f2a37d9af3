/** Options of a connected socket that Node does not know (getsockopt(2)). */

import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import koffi from 'koffi';

/** Undefined once the socket is closed. */
export function descriptorOf(socket: Socket): number | undefined {
  // The one touch of something Node does not document. `rpc/server.test.ts` fails if it ever goes away.
  const handle = (socket as Socket & { readonly _handle?: { readonly fd?: unknown } })._handle;
  return typeof handle?.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined;
}

/** Fills `value` and answers the length the kernel wrote, or -1; `koffi.errno()` then says why. */
export function readSocketOption(
  descriptor: number,
  level: number,
  option: number,
  value: Buffer,
): number {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length, 0);
  return getsockopt()(descriptor, level, option, value, length) === 0 ? length.readUInt32LE(0) : -1;
}

type GetSocketOption = (
  descriptor: number,
  level: number,
  option: number,
  value: Buffer,
  length: Buffer,
) => number;

let loaded: GetSocketOption | undefined;

// Loaded on first use, so that commands which never look at a socket do not pay for it.
function getsockopt(): GetSocketOption {
  loaded ??= koffi
    .load(null)
    .func('int getsockopt(int, int, int, void*, void*)') as GetSocketOption;
  return loaded;
}
