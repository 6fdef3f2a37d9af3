/**
 * What a stream that says nothing costs: nothing of what it said before.
 *
 * grpc-js keeps the pieces of the last message of a stream until the next begins, and reads sixteen messages
 * ahead of a handler that is not ready for them. With thousands of streams on a connection that is a gigabyte for
 * anybody who asks, and no option of its own changes it; so it is changed on the objects. Where another version
 * of it has other ones, nothing is changed, and `test/system/sds-bad-input.test.ts` tells.
 */

import { Buffer } from 'node:buffer';

/** To be called whenever a message was taken from `call`. */
export function forgetLastMessage(call: object): void {
  const decoder = part(part(call, 'call'), 'decoder');
  // Otherwise it is in the middle of one.
  if (decoder === undefined || Reflect.get(decoder, 'readState') !== betweenMessages) return;
  Reflect.set(decoder, 'readPartialMessage', []);
  // One byte, and a view of all that came from the socket with it.
  Reflect.set(decoder, 'readCompressFlag', Buffer.alloc(1));
}

/** To be called before the first message is taken. */
export function readOneAhead(call: object): void {
  const state = part(call, '_readableState');
  if (state !== undefined) Reflect.set(state, 'highWaterMark', 1);
}

function part(of: object | undefined, name: string): object | undefined {
  const found: unknown = of === undefined ? undefined : Reflect.get(of, name);
  return typeof found === 'object' && found !== null ? found : undefined;
}

// grpc-js, `ReadState.NO_DATA`.
const betweenMessages = 0;
