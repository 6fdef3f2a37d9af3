/** Many agents, each with a connection, a certificate and a stream of its own, and nothing else of an agent. */

import {
  connect as connectHttp2,
  type ClientHttp2Session,
  type ClientHttp2Stream,
} from 'node:http2';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { NodeApiService } from '../../api/index.ts';
import type { Closable } from '../../core/index.ts';
import { systemClock } from '../../core/index.ts';
import { BenchError } from '../bench-error.ts';
import type { NodeIdentity } from './identities.ts';

export interface Fleet extends Closable {
  readonly size: number;
  /** The bytes of the newest message that any agent got. */
  newest(): Buffer;
  /**
   * Begins to count before `cause` runs, and resolves when `expected` agents have each had a message since:
   * the milliseconds from then until each.
   */
  pushed(expected: number, cause: () => unknown): Promise<readonly number[]>;
}

/** Resolves when every agent has had its first message. */
export async function connectFleet(
  port: number,
  identities: readonly NodeIdentity[],
): Promise<Fleet> {
  let newest: Buffer = Buffer.alloc(0);
  let onMessage = (_agent: number): void => undefined;
  let onFailure = (_error: Error): void => undefined;
  const agents: Agent[] = [];
  const received = (at: number, message: Buffer): void => {
    newest = message;
    onMessage(at);
  };
  const pushed: Fleet['pushed'] = (expected, cause) =>
    new Promise((resolve, reject) => {
      const seen = new Set<number>();
      const delays: number[] = [];
      const giveUp = systemClock.after(pushMsMax, () => {
        const reason = `${seen.size} of ${expected} agents were told within ${pushMsMax} ms`;
        reject(new BenchError('bench_answer', reason));
      });
      onFailure = (error) => {
        giveUp.cancel();
        reject(new BenchError('bench_answer', `an agent: ${error.message}`, { cause: error }));
      };
      const beganMs = performance.now();
      onMessage = (at) => {
        if (seen.has(at)) return;
        seen.add(at);
        delays.push(performance.now() - beganMs);
        if (seen.size < expected) return;
        giveUp.cancel();
        onMessage = () => undefined;
        onFailure = () => undefined;
        resolve(delays);
      };
      Promise.resolve(cause()).catch(reject);
    });
  // A few handshakes at once: the listener's queue is finite, and so is one core.
  for (let from = 0; from < identities.length; from += connectingMax) {
    const some = identities.slice(from, from + connectingMax);
    await pushed(some.length, () => {
      some.forEach((identity, index) => {
        const at = from + index;
        agents.push(
          openAgent(
            port,
            identity,
            (message) => received(at, message),
            (error) => onFailure(error),
          ),
        );
      });
    });
  }
  return {
    size: identities.length,
    newest: () => newest,
    pushed,
    async close() {
      for (const agent of agents) agent.close();
    },
  };
}

interface Agent {
  close(): void;
}

function openAgent(
  port: number,
  identity: NodeIdentity,
  onMessage: (message: Buffer) => void,
  onFailure: (error: Error) => void,
): Agent {
  const socket = connectTls({
    host: '127.0.0.1',
    port,
    servername: 'localhost',
    ALPNProtocols: ['h2'],
    // That it is the CA is no question here: it was started by this benchmark, on this machine.
    rejectUnauthorized: false,
    secureContext: createSecureContext({
      cert: identity.certificates,
      key: identity.privateKey,
      minVersion: 'TLSv1.3',
    }),
  });
  const session: ClientHttp2Session = connectHttp2('https://localhost', {
    createConnection: () => socket,
  });
  const stream: ClientHttp2Stream = session.request({
    ':method': 'POST',
    ':path': NodeApiService.sync.path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  session.on('error', onFailure);
  stream.on('error', onFailure);
  let pending: Buffer = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    while (pending.length >= headerBytes) {
      const end = headerBytes + pending.readUInt32BE(1);
      if (pending.length < end) return;
      const message = pending.subarray(headerBytes, end);
      pending = pending.subarray(end);
      onMessage(message);
      stream.write(reportOf(revisionOf(message)));
    }
  });
  stream.write(reportOf(0n));
  return {
    close() {
      session.destroy();
      socket.destroy();
    },
  };
}

/** One gRPC message: no compression, four bytes of length, the report. */
function reportOf(appliedRevision: bigint): Buffer {
  const request = {
    appliedRevision,
    trust: [],
    agentVersion: 'bench',
    secretReports: [],
    secretHoldings: [],
    secretHoldingsLeftOut: 0,
  };
  const body = NodeApiService.sync.requestSerialize(request);
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32BE(body.length, 1);
  return Buffer.concat([header, body]);
}

/** The first field alone: these agents do nothing with the rest. */
function revisionOf(message: Buffer): bigint {
  let value = 0n;
  for (let at = 1; message[0] === 0x08 && at <= 10; at += 1) {
    const byte = message[at] ?? 0;
    value |= BigInt(byte & 0x7f) << BigInt(7 * (at - 1));
    if (byte < 0x80) break;
  }
  return value;
}

const headerBytes = 5;
const connectingMax = 50;
const pushMsMax = 60_000;
