/** Connections of a load: opened towards a hop, with a client's certificate where it wants one, and read. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { z } from 'zod';
import { BenchError } from '../bench-error.ts';

export const loadTargetSchema = z.object({
  port: z.number(),
  tls: z
    .object({ chain: z.string(), key: z.string(), root: z.string(), serverName: z.string() })
    .optional(),
  connections: z.number(),
  /** Another of this machine's addresses: for one there are no more connections than ports. */
  host: z.string().optional(),
  /** Whether a connection that is turned away is no fault. */
  mayBeRefused: z.boolean().optional(),
  /** How many are being opened at a time; few where a storm of handshakes is not what is measured. */
  atOnce: z.number().optional(),
});
export type LoadTarget = z.output<typeof loadTargetSchema>;

export const benchRequest = Buffer.from(
  'GET /bench HTTP/1.1\r\nhost: bench.mesh.test\r\naccept: */*\r\nuser-agent: signet-bench\r\n\r\n',
  'latin1',
);

/** Opens one more connection each time it is called. */
export function opener({ tls, port, host = '127.0.0.1' }: LoadTarget): () => Promise<Socket> {
  const secureContext =
    tls === undefined
      ? undefined
      : createSecureContext({
          minVersion: 'TLSv1.3',
          cert: readFileSync(tls.chain),
          key: readFileSync(tls.key),
          ca: readFileSync(tls.root),
        });
  return async () => {
    const socket =
      tls === undefined || secureContext === undefined
        ? connect(port, host)
        : connectTls({ host, port, secureContext, servername: tls.serverName });
    socket.setNoDelay(true);
    await once(socket, tls === undefined ? 'connect' : 'secureConnect');
    return socket;
  };
}

export function openAll(target: LoadTarget): Promise<readonly Socket[]> {
  const open = opener(target);
  return Promise.all(Array.from({ length: target.connections }, open));
}

/** Calls `answered` at the end of each response, which must be a 200 with a content length. */
export function readAnswers(
  socket: Socket,
  answered: () => void,
  failed: (error: Error) => void,
): void {
  let waiting: Buffer | undefined;
  socket.on('data', (bytes: Buffer) => {
    const all: Buffer = waiting === undefined ? bytes : Buffer.concat([waiting, bytes]);
    waiting = undefined;
    const headLength = all.indexOf('\r\n\r\n') + 4;
    const head = all.toString('latin1', 0, headLength);
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1]);
    if (headLength > 3 && (!head.startsWith('HTTP/1.1 200 ') || Number.isNaN(length))) {
      failed(
        new BenchError('bench_answer', `the answer was ${JSON.stringify(head.slice(0, 200))}`),
      );
      socket.destroy();
    } else if (headLength > 3 && all.length >= headLength + length) {
      answered();
    } else {
      waiting = all;
    }
  });
}

/** Sends one request and waits for its answer. */
export function askOnce(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('close', () => reject(new BenchError('bench_answer', 'a connection closed')));
    readAnswers(socket, resolve, reject);
    socket.write(benchRequest);
  });
}
