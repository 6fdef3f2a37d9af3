/** The three proxies side by side for HTTP/2, each before an upstream of HTTP/1.1 of its own, several times over. */

import { Buffer } from 'node:buffer';
import { connect } from 'node:net';
import { expect } from 'vitest';
import { frameFlag, frameType } from '../../proxy/protocol/http2/frame.ts';
import { eventually } from '../fakes/eventually.ts';
import type { ProxyMesh } from '../fakes/proxy-mesh.ts';
import {
  patienceSeconds,
  type RivalPrograms,
  startHaproxyBefore,
  startNginxBefore,
} from './http1-proxies.ts';
import { RecordingUpstream, type Seen } from './http1-recorder.ts';

export interface Http2Answers {
  readonly us: Seen;
  readonly nginx: Seen;
  readonly haproxy: Seen;
}

export interface Http2Lane {
  askAll(wire: Buffer): Promise<Http2Answers>;
}

export async function startHttp2Lanes(
  mesh: ProxyMesh,
  programs: RivalPrograms,
  count: number,
): Promise<readonly Http2Lane[]> {
  const upstreams = async (): Promise<readonly RecordingUpstream[]> => {
    const started = Array.from({ length: count }, () => RecordingUpstream.start());
    return (await Promise.all(started)).map((upstream) => mesh.scope.add(upstream));
  };
  const portsOf = (of: readonly RecordingUpstream[]): number[] => of.map(({ port }) => port);
  const [ours, nginxs, haproxies] = await Promise.all([upstreams(), upstreams(), upstreams()]);
  const { scope, directory } = mesh;
  const patience = `${patienceSeconds}s`;
  const timeouts = { idle: patience, head: patience };
  const sidecars = await Promise.all(
    ours.map(({ port }) => mesh.plain(port, { protocol: 'http2', timeouts })),
  );
  const nginx = await startNginxBefore(scope, programs.nginx, directory, portsOf(nginxs), 'http2');
  const haproxy = await startHaproxyBefore(
    scope,
    programs.haproxy,
    directory,
    portsOf(haproxies),
    'http2',
  );
  return ours.map((own, at) => ({
    askAll: async (wire) => {
      const [us, byNginx, byHaproxy] = await Promise.all([
        ask(sidecars[at]?.inPort, own, wire),
        ask(nginx[at], nginxs[at], wire),
        ask(haproxy[at], haproxies[at], wire),
      ]);
      return { us, nginx: byNginx, haproxy: byHaproxy };
    },
  }));
}

/** Sends the bytes, waits until every stream in them is over or the connection is, and says what came through. */
async function ask(
  port: number | undefined,
  upstream: RecordingUpstream | undefined,
  wire: Buffer,
): Promise<Seen> {
  if (port === undefined || upstream === undefined) throw new RangeError('there is no such lane');
  const open = new Set<number>();
  for (const { type, stream } of framesOf(wire, preface.length)) {
    if (type === frameType.headers) open.add(stream);
  }
  await new Promise<void>((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let bytes = Buffer.alloc(0);
    // Who says nothing at all for longer than its own patience has nothing to say.
    socket.setTimeout(silenceMsMax, () => socket.destroy());
    socket.on('error', () => {});
    socket.on('end', () => socket.destroy());
    socket.on('close', () => resolve());
    socket.on('data', (more) => {
      bytes = Buffer.concat([bytes, Buffer.from(more)]);
      for (const { type, flags, stream } of framesOf(bytes, 0)) {
        const isOver =
          type === frameType.rstStream ||
          ((type === frameType.headers || type === frameType.data) &&
            (flags & frameFlag.endStream) !== 0);
        if (isOver) open.delete(stream);
      }
      if (open.size === 0) socket.destroy();
    });
    socket.write(wire);
  });
  await eventually(() => expect(upstream.isQuiet).toBe(true));
  return upstream.take();
}

function* framesOf(
  bytes: Buffer,
  from: number,
): Generator<{ readonly type: number; readonly flags: number; readonly stream: number }> {
  for (let at = from; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    yield {
      type: bytes.readUInt8(at + 3),
      flags: bytes.readUInt8(at + 4),
      stream: bytes.readUInt32BE(at + 5) & 0x7fffffff,
    };
  }
}

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const silenceMsMax = (patienceSeconds + 1) * 1000;
