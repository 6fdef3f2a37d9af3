/** Many peers at once that mean harm, or might as well, and what is asked of the process that meets them. */

import { connect, type Socket } from 'node:net';
import { expect } from 'vitest';
import type { Scope } from '../../core/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { get, type StatsJson } from '../fakes/proxy-mesh.ts';
import type { ProxyProcess } from './proxy-process.ts';

export interface Attack {
  readonly name: string;
  /** The counter of the listener that says so, once for each connection. */
  readonly counter: string;
  /** What is said of each connection, in the access log or in the log; undefined where it is nobody's fault. */
  readonly said: string | undefined;
  /** Makes an open connection hostile. */
  readonly act: (socket: Socket) => void;
  /** Whether the peer keeps its side open when the other side has ended. */
  readonly staysOpen?: true;
}

export interface Target {
  readonly proxy: ProxyProcess;
  readonly listener: string;
  /** How many peers there are at once. */
  readonly peers: number;
  /** By how much memory may grow meanwhile, if not by what a hundred connections with full buffers take. */
  readonly growthMiBMax?: number;
  /** Throws if a client of this listener that behaves is not served. */
  readonly serve: () => Promise<void>;
}

/**
 * Has all peers do it at once. Each is counted, once, and told of, once; others are served meanwhile; memory stays
 * bounded; and in the end nothing is left of them.
 */
export async function withstand(
  scope: Scope,
  { proxy, listener, peers, serve, growthMiBMax = crowdMiBMax }: Target,
  { counter, said, act, staysOpen }: Attack,
): Promise<void> {
  const before = await statsOf(proxy, listener);
  const saidBefore = timesSaid(proxy, said);
  const warnedBefore = warnings(proxy, said);
  const sockets = await openMany(scope, proxy.portOf(listener), peers, act, staysOpen);
  // Others are served as long as it lasts.
  let served = 0;
  const over = new AbortController();
  const { signal } = over;
  const serving = (async () => {
    while (!signal.aborted || served < 10) {
      await serve();
      served += 1;
    }
  })();
  let mostMiB = before.rssMiB;
  // Whatever it finds, it is awaited below.
  serving.catch(() => {});
  await eventually(async () => {
    const now = await statsOf(proxy, listener);
    mostMiB = Math.max(mostMiB, now.rssMiB);
    expect((now.counters[counter] ?? 0) - (before.counters[counter] ?? 0)).toBe(peers);
  }, patienceMs);
  over.abort();
  await serving;
  if (said !== undefined) {
    await eventually(() => expect(timesSaid(proxy, said) - saidBefore).toBe(peers), patienceMs);
  }
  // A crowd that was refused does not fill the log of whoever does not debug.
  expect(warnings(proxy, said) - warnedBefore).toBeLessThanOrEqual(1);
  for (const socket of sockets) socket.destroy();
  await eventually(async () => {
    const { counters } = await statsOf(proxy, listener);
    // Ours that ask for the stats' sake are on the admin port.
    expect(counters['connectionsActive']).toBeLessThanOrEqual(2);
  }, patienceMs);
  expect(mostMiB - before.rssMiB).toBeLessThan(growthMiBMax);
}

export interface Stats {
  readonly counters: Record<string, number>;
  readonly rssMiB: number;
}

export async function statsOf({ adminPort }: ProxyProcess, listener: string): Promise<Stats> {
  const stats = JSON.parse((await get(adminPort, '/stats')).body) as StatsJson & {
    readonly memory: { readonly rssBytes: number };
  };
  return {
    counters: stats.listeners[listener] ?? {},
    rssMiB: stats.memory.rssBytes / 1024 / 1024,
  };
}

/** Opens many connections, each of which `act` makes hostile. */
export async function openMany(
  scope: Scope,
  port: number,
  count: number,
  act: (socket: Socket) => void,
  staysOpen?: true,
): Promise<readonly Socket[]> {
  const sockets: Socket[] = [];
  for (let at = 0; at < count; at += 1) {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    // What comes back is not wanted, and its end is the end.
    if (staysOpen === undefined) socket.on('end', () => socket.end());
    scope.onClose(() => void socket.destroy());
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    act(socket);
    sockets.push(socket);
  }
  return sockets;
}

/** Sends so much and then nothing. */
export function send(bytes: string | Buffer): (socket: Socket) => void {
  return (socket) => void socket.resume().write(bytes);
}

/** Writes the piece again and again, as long as it is taken. */
export function flood(start: string, piece: string | Buffer): (socket: Socket) => void {
  return (socket) => {
    socket.resume().write(start);
    const more = (): void => {
      while (socket.writable && socket.write(piece));
    };
    socket.on('drain', more);
    more();
  };
}

/** Sends the start and then a byte now and then, so that no two are far from each other. */
export function drip(start: string | Buffer): (socket: Socket) => void {
  return (socket) => {
    socket.resume().write(start);
    const beat = setInterval(() => void socket.write('x'), 100);
    socket.once('close', () => clearInterval(beat));
    socket.once('end', () => clearInterval(beat));
  };
}

function timesSaid(proxy: ProxyProcess, said: string | undefined): number {
  const inAccessLog = proxy.lines().filter((line) => line.includes(`"fault":"${said}"`));
  return inAccessLog.length + linesOfLog(proxy, said).length;
}

function warnings(proxy: ProxyProcess, said: string | undefined): number {
  return linesOfLog(proxy, said).filter((line) => line.startsWith('{"level":40,')).length;
}

function linesOfLog(proxy: ProxyProcess, said: string | undefined): string[] {
  return proxy
    .log()
    .split('\n')
    .filter((line) => line.includes(`"reason":"${said}"`));
}

// The longest timeout is 5 s; the rest is for a machine that does other things too.
const patienceMs = 60_000;
// A hundred connections with all their buffers full, and what V8 keeps of it for a while.
const crowdMiBMax = 120;
