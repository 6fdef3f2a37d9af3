/** Sidecars under test, each with an SDS server of its own, and the plain clients and servers at both ends. */

import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { type Clock, Scope, seededRandom, silentLogger, systemClock } from '../../core/index.ts';
import { parseProxyConfig, type RunningProxy, startProxy } from '../../proxy/index.ts';
import { certificateSecret, type FakeSds, startFakeSds, validationSecret } from './fake-sds.ts';
import { makeTestPki, type TestPki } from './test-pki.ts';

/** Waits until `isTrue`; the test's own timeout is the bound. */
export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise<void>((resolve) => setTimeout(resolve, 1));
}

/** Waits until `measure` answers the same for a while: what can flow has flowed. */
export async function settled(measure: () => number): Promise<number> {
  let last = measure();
  for (let same = 0; same < 30; same += 1) {
    await new Promise<void>((resolve) => setTimeout(resolve, 2));
    const now = measure();
    if (now !== last) same = 0;
    last = now;
  }
  return last;
}

export interface TestSidecar {
  readonly proxy: RunningProxy;
  readonly sds: FakeSds | undefined;
  port(listener: string): number;
  /** Lines of the access log so far. */
  readonly log: string[];
  stats(): Promise<StatsJson>;
}

export interface TestServer {
  readonly port: number;
  readonly sockets: Socket[];
  close(): void;
}

export interface StatsJson {
  readonly listeners: Record<string, Record<string, number>>;
  readonly clusters: Record<string, Record<string, number>>;
  readonly tlsGeneration: number;
}

/** Everything one test file starts, closed in reverse. */
export class ProxyMesh {
  readonly pki: TestPki;
  readonly directory: string;
  readonly scope = new Scope();
  #sockets = 0;

  constructor(pki: TestPki) {
    this.pki = pki;
    this.directory = mkdtempSync(join(tmpdir(), 'signet-'));
    this.scope.onClose(() => rmSync(this.directory, { recursive: true, force: true }));
  }

  static async start(trustDomain = 'mesh.test'): Promise<ProxyMesh> {
    return new ProxyMesh(await makeTestPki({ nowMs: Date.now(), trustDomain }));
  }

  socketPath(): string {
    this.#sockets += 1;
    return join(this.directory, `sds-${this.#sockets}.sock`);
  }

  async sds(path = this.socketPath()): Promise<{ sds: FakeSds; path: string }> {
    return { sds: this.scope.add(await startFakeSds(path)), path };
  }

  /** An SDS server that has an identity and this mesh's bundle. */
  async readySds(id: string): Promise<{ sds: FakeSds; path: string }> {
    const made = await this.sds();
    made.sds.set(certificateSecret(await this.pki.issueLeaf({ id })));
    made.sds.set(validationSecret({ [this.pki.trustDomain]: this.pki.anchorsPem }));
    return made;
  }

  /** Starts a proxy; `config` lacks what is the same in every test. */
  async sidecar(
    made: { sds: FakeSds; path: string } | undefined,
    config: Record<string, unknown>,
    clock: Clock = systemClock,
  ): Promise<TestSidecar> {
    const whole = {
      node: { id: 'test' },
      ...(made === undefined ? {} : { sds: { socket: made.path } }),
      admin: '127.0.0.1:0',
      ...config,
    };
    const log: string[] = [];
    const stdout = new PassThrough();
    stdout.on('data', (text: Buffer) => log.push(...text.toString().trim().split('\n')));
    const proxy = await startProxy(parseProxyConfig(JSON.stringify(whole), 'test.yaml'), {
      clock,
      random: seededRandom(1),
      log: silentLogger,
      stdout,
    });
    this.scope.add(proxy);
    return {
      proxy,
      sds: made?.sds,
      log,
      port: (name) => proxy.listeners.find((each) => each.name === name)?.port ?? 0,
      stats: async () => JSON.parse((await get(proxy.adminPort, '/stats')).body) as StatsJson,
    };
  }

  /**
   * The usual pair: `web` takes plaintext and speaks mutual TLS to `orders`, which passes it on to the
   * server on `appPort`. Answers both, and the port to speak to.
   */
  async pair(
    appPort: number,
    options: ProxyOptions = {},
  ): Promise<{ web: TestSidecar; orders: TestSidecar; port: number }> {
    const { timeouts = { drain: '100ms' } } = options;
    const { protocol = 'http1', between = 'http1', upstream = 'http1' } = options;
    const { through = async (port) => port } = options;
    const to = (cluster: string): Record<string, unknown> => target(cluster, options);
    const { beyond = protocol === 'tcp' ? protocol : between } = options;
    const orders = await this.sidecar(await this.readySds('/orders'), {
      listeners: [
        {
          name: 'in',
          address: '127.0.0.1:0',
          tls: { allow: ['spiffe://mesh.test/web'] },
          protocol: beyond,
          ...target('app', { ...options, protocol: beyond }),
        },
      ],
      clusters: [{ name: 'app', endpoints: [`127.0.0.1:${appPort}`], protocol: upstream }],
      timeouts,
    });
    const web = await this.sidecar(await this.readySds('/web'), {
      listeners: [
        { name: 'out', address: '127.0.0.1:0', plaintext: true, protocol, ...to('orders') },
      ],
      clusters: [
        {
          name: 'orders',
          endpoints: [`127.0.0.1:${await through(orders.port('in'))}`],
          tls: { expect: ['spiffe://mesh.test/orders'] },
          protocol: between,
        },
      ],
      timeouts,
    });
    await until(() => isReady(web) && isReady(orders));
    return { web, orders, port: web.port('out') };
  }

  /** One sidecar without TLS in front of the server on `appPort`: HTTP/1.1 alone. */
  async plain(
    appPort: number,
    options: ProxyOptions = {},
  ): Promise<TestSidecar & { readonly inPort: number }> {
    const { protocol = 'http1', upstream = 'http1', timeouts = {} } = options;
    const sidecar = await this.sidecar(undefined, {
      listeners: [
        {
          name: 'in',
          address: '127.0.0.1:0',
          plaintext: true,
          protocol,
          ...target('app', options),
        },
      ],
      clusters: [{ name: 'app', endpoints: [`127.0.0.1:${appPort}`], protocol: upstream }],
      timeouts: { drain: '100ms', ...timeouts },
    });
    return { ...sidecar, inPort: sidecar.port('in') };
  }

  /** A server made of one function per connection. */
  async server(onSocket: (socket: Socket) => void): Promise<TestServer> {
    const sockets: Socket[] = [];
    const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      onSocket(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const close = (): void => {
      server.close();
      for (const socket of sockets) socket.destroy();
    };
    this.scope.onClose(close);
    return { port: (server.address() as AddressInfo).port, sockets, close };
  }

  close(): Promise<void> {
    return this.scope.close();
  }
}

interface ProxyOptions {
  readonly protocol?: 'http1' | 'http2' | 'auto' | 'tcp';
  /** What the sidecars of a pair speak to each other, and what is spoken to the server; `http1` if not given. */
  readonly between?: 'http1' | 'http2';
  readonly upstream?: 'http1' | 'http2';
  readonly timeouts?: Record<string, string>;
  /** What the second sidecar of a pair makes of what comes; what the first speaks to it, if not given. */
  readonly beyond?: 'http1' | 'http2' | 'tcp';
  /** Puts something between the sidecars of a pair: answers the port that leads to the one it is given. */
  readonly through?: (port: number) => Promise<number>;
  /** An authority that CONNECT may name, on every listener. */
  readonly connect?: string;
  /** What else the one route of each listener says. */
  readonly route?: Record<string, unknown>;
  readonly upgrades?: readonly string[];
  readonly grpcWeb?: true;
}

/** Where a listener sends everything. */
function target(cluster: string, options: ProxyOptions): Record<string, unknown> {
  const { protocol = 'http1', connect: authority, upgrades, grpcWeb } = options;
  if (protocol === 'tcp') return { cluster };
  return {
    routes: [{ prefix: '/', cluster, ...options.route }],
    ...(authority === undefined ? {} : { connect: [{ authority, cluster }] }),
    ...(upgrades === undefined ? {} : { upgrades }),
    ...(grpcWeb === undefined ? {} : { grpcWeb }),
  };
}

export function isReady(sidecar: TestSidecar): boolean {
  return sidecar.proxy.material.current() !== undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface GetOptions {
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

export function get(port: number, path: string, options: GetOptions = {}): Promise<HttpAnswer> {
  const { method = 'GET', body, headers = {}, signal } = options;
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { port, path, method, headers, signal, agent: false },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(parts).toString('latin1'),
          }),
        );
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

/** A raw connection that remembers what it read. */
export class RawClient {
  readonly socket: Socket;
  text = '';
  isEnded = false;
  isClosed = false;

  /** `localAddress` is another one of this machine, where it matters who connects. */
  constructor(port: number, localAddress?: string) {
    const from = localAddress === undefined ? {} : { localAddress };
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, ...from });
    this.socket.on('data', (bytes) => {
      this.text += bytes.toString('latin1');
    });
    this.socket.on('end', () => {
      this.isEnded = true;
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.isClosed = true;
    });
  }

  send(text: string): void {
    this.socket.write(text, 'latin1');
  }

  async read(isEnough: (text: string) => boolean): Promise<string> {
    await until(() => isEnough(this.text) || this.isEnded || this.isClosed);
    return this.text;
  }

  /** Everything up to the end the peer makes. */
  async readAll(): Promise<string> {
    await until(() => this.isEnded || this.isClosed);
    return this.text;
  }

  close(): void {
    this.socket.destroy();
  }
}

/** A server that answers each request head it sees with the text `answer` gives for it. */
export function scripted(
  answer: (head: string, socket: Socket) => string,
): (socket: Socket) => void {
  return (socket) => {
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      for (;;) {
        const end = text.indexOf('\r\n\r\n');
        if (end === -1) return;
        const head = text.slice(0, end);
        text = text.slice(end + 4);
        socket.write(answer(head, socket), 'latin1');
      }
    });
    socket.on('end', () => socket.end());
  };
}

/** `HTTP/1.1 200` with a length. */
export function okResponse(body: string, more = ''): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;
}
