/** One end of a relay that sends as much as the other takes. */

import type { Socket } from 'node:net';
import { relayChunk } from './relay-setting.ts';

/** Tells `sent` of the bytes of each piece that has left. */
export function flood(socket: Socket, sent: (bytes: number) => void): void {
  const go = (): void => {
    let takesMore = true;
    while (takesMore) {
      takesMore = socket.write(relayChunk, (error) => {
        if (error === undefined || error === null) sent(relayChunk.length);
      });
    }
  };
  socket.on('drain', go);
  go();
}
