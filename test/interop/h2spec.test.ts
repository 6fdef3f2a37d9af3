/**
 * h2spec, all its cases and the strict ones, against the sidecar as a process: in clear and in mutual TLS, in front of a
 * service of HTTP/2 and of HTTP/1.1, and where the first bytes decide.
 */

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, expect } from 'vitest';
import { http2Server } from '../fakes/http2-peers.ts';
import { get, okResponse, ProxyMesh, scripted } from '../fakes/proxy-mesh.ts';
import { type ProxyProcess, startProxyProcess, writeProxyConfig } from '../system/proxy-process.ts';
import { findH2spec, testWith } from './peers.ts';

/**
 * What h2spec asks by RFC 7540 §5.3.1 and RFC 9113 §5.3.2 has taken out: there are no priorities any more, the fields
 * are read for their length alone, and a stream that depends on itself is nothing.
 */
const outdated = [
  'http2/5.3.1: Sends HEADERS frame that depend on itself',
  'http2/5.3.1: Sends PRIORITY frame that depend on itself',
];
/** Of version 2.2.1, which `h2spec/go.mod` names. Fewer would mean that it gave up. */
const caseCount = 146;

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

interface Lane {
  readonly name: string;
  readonly protocol: 'http2' | 'auto';
  readonly upstream: 'http1' | 'http2';
  readonly isSecure: boolean;
}

const lanes: readonly Lane[] = [
  { name: 'in clear, to HTTP/2', protocol: 'http2', upstream: 'http2', isSecure: false },
  { name: 'in clear, to HTTP/1.1', protocol: 'http2', upstream: 'http1', isSecure: false },
  { name: 'found out by its preface', protocol: 'auto', upstream: 'http2', isSecure: false },
  { name: 'in mutual TLS', protocol: 'http2', upstream: 'http2', isSecure: true },
];

for (const lane of lanes) {
  testWith(findH2spec(), 'h2spec', `h2spec finds no fault: ${lane.name}`, async (h2spec) => {
    const proxy = await startLane(lane);
    const port = lane.isSecure ? await presentCertificate(proxy.port) : proxy.port;
    const { ran, failed } = await judge(h2spec, port);
    expect(failed).toEqual(outdated);
    expect(ran).toBe(caseCount);
    // It has broken every rule there is: what it broke was its own connections.
    const { body } = await get(proxy.adminPort, '/stats');
    expect(JSON.parse(body).listeners.in.protocolErrors).toBeGreaterThan(brokenMin);
    expect(proxy.child.exitCode).toBe(null);
  });
}

async function startLane({ name, protocol, upstream, isSecure }: Lane): Promise<ProxyProcess> {
  const port = upstream === 'http2' ? await startHttp2Service() : await startHttp1Service();
  const sds = isSecure ? await mesh.readySds('/orders') : undefined;
  const config = writeProxyConfig(mesh, `${name.replaceAll(/\W+/g, '-')}.yaml`, {
    ...(sds === undefined ? {} : { sds: { socket: sds.path } }),
    accessLog: 'off',
    listeners: [
      {
        name: 'in',
        address: '127.0.0.1:0',
        ...(isSecure ? { tls: { allow: ['spiffe://mesh.test/web'] } } : { plaintext: true }),
        protocol,
        routes: [{ prefix: '/', cluster: 'app' }],
      },
    ],
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${port}`], protocol: upstream }],
  });
  const proxy = await startProxyProcess(mesh, config);
  while ((await get(proxy.adminPort, '/readyz')).status !== 200);
  return proxy;
}

async function startHttp2Service(): Promise<number> {
  const service = await http2Server(mesh.scope, (stream) => {
    stream.resume();
    stream.respond({ ':status': 200 });
    stream.end('hello');
  });
  return service.port;
}

async function startHttp1Service(): Promise<number> {
  const service = await mesh.server(scripted(() => okResponse('hello')));
  return service.port;
}

/** h2spec has no certificate to show: what comes to this port goes on under one of the mesh. */
async function presentCertificate(to: number): Promise<number> {
  const leaf = await mesh.pki.issueLeaf({ id: '/web' });
  const server = createServer((plain) => {
    const secure = connectTls({
      port: to,
      host: '127.0.0.1',
      cert: leaf.chainPem,
      key: leaf.keyPem,
      ALPNProtocols: ['h2'],
      // The server's name is a SPIFFE ID; who it is is not what is judged here.
      rejectUnauthorized: false,
    });
    plain.pipe(secure).pipe(plain);
    plain.on('error', () => secure.destroy());
    secure.on('error', () => plain.destroy());
    secure.on('close', () => plain.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  mesh.scope.onClose(() => void server.close());
  const address = server.address();
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}

interface Verdict {
  readonly ran: number;
  /** Such as `http2/5.1: half closed (remote): Sends a DATA frame`. */
  readonly failed: readonly string[];
}

/** Runs all cases; it ends with an exit code of its own when one fails, which the report says better. */
async function judge(h2spec: string, port: number): Promise<Verdict> {
  const report = join(mesh.directory, `h2spec-${port}.xml`);
  const args = ['--strict', '--port', `${port}`, '--timeout', `${silenceSeconds}`];
  const said = await new Promise<string>((resolve) => {
    execFile(h2spec, [...args, '--junit-report', report], (_error, out, err) => resolve(out + err));
  });
  const cases = [...readReport(report, said).matchAll(testCase)];
  const notPassed = cases.filter(([, , , content]) => content !== '');
  return {
    ran: cases.length,
    failed: notPassed.map(([, section, title]) => `${section}: ${title}`),
  };
}

function readReport(path: string, said: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw new Error(`h2spec wrote no report: ${said}`);
  }
}

// Of a case that passed nothing is written inside.
const testCase = /<testcase package="([^"]*)" classname="([^"]*)" time="[^"]*">(.*?)<\/testcase>/gs;
// How long it waits for what should not come. The proxy answers in milliseconds; the rest is for a busy machine.
const silenceSeconds = 2;
// Cases that break a rule of the whole connection; some are GOAWAYs of our own, some are ends of theirs.
const brokenMin = 30;
