/** testssl.sh against the sidecar as a process, as it comes and with TLS 1.2 taken too: it has nothing to say. */

import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { get, okResponse, ProxyMesh, scripted } from '../fakes/proxy-mesh.ts';
import { startProxyProcess, writeProxyConfig } from '../system/proxy-process.ts';
import { lacks } from '../programs.ts';

/** What it holds against every SVID, by the rules of the Web. */
const otherRules = {
  cert_trust: 'a name in DNS is asked for; a SPIFFE ID stands in the certificate',
  cert_expirationStatus: 'a certificate of an hour is meant to end within thirty days',
  cert_notAfter: 'the same',
  cert_revocation: 'no URL of a list: lists come by SDS',
};
/** What it warns that it could not look into. */
const notLookedInto = {
  sessionresumption_ID: 'for want of a certificate of the mesh; `proxy/mutual-tls.test.ts` has one',
  sessionresumption_ticket: 'the same',
  secure_client_renego: 'the same; `proxy/trust.test.ts`',
  BREACH: 'the same; it is about HTTP, and we compress nothing',
  optimal_proto: 'the same; in TLS 1.3 it hears that it is refused when it thinks that it is in',
  RC4: 'its OpenSSL has none to offer; the standard ciphers, asked for by bytes of its own, hold them too',
};

// It is a shell script of 20,000 lines: half a minute on a machine with nothing else to do.
const patienceMs = 600_000;

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

const isMissing = lacks('testssl');
describe.skipIf(isMissing).concurrent('testssl finds no fault', { timeout: patienceMs }, () => {
  test('as it comes: TLS 1.3 alone', async () => {
    const findings = await judge('1.3');
    expect(faultsOf(findings)).toEqual([]);
    expect(said(findings, 'TLS1_2')).toBe('not offered');
    expect(said(findings, 'TLS1_3')).toContain('offered');
  });

  test('with TLS 1.2 by config', async () => {
    const findings = await judge('1.2');
    expect(faultsOf(findings)).toEqual([]);
    expect(said(findings, 'TLS1_1')).toBe('not offered');
    expect(said(findings, 'TLS1_2')).toBe('offered');
    expect(said(findings, 'cipher_order')).toBe('server');
    expect(said(findings, 'secure_renego')).toBe('supported');
  });
});

async function judge(minVersion: '1.2' | '1.3'): Promise<readonly Finding[]> {
  const port = await startProxy(minVersion);
  const root = join(mesh.directory, `root-${minVersion}.pem`);
  writeFileSync(root, mesh.pki.anchorsPem);
  const report = join(mesh.directory, `testssl-${minVersion}.json`);
  // Its exit code counts what it could not look into, and is not asked.
  const output = await new Promise<string>((resolve) => {
    const args = [...checks, '--add-ca', root, '--jsonfile', report, `127.0.0.1:${port}`];
    const child = execFile('testssl', args, (_error, out, err) => resolve(out + err));
    mesh.scope.onClose(() => void child.kill());
  });
  try {
    return JSON.parse(readFileSync(report, 'utf8')) as readonly Finding[];
  } catch {
    throw new Error(`testssl wrote no report: ${output}`);
  }
}

async function startProxy(minVersion: '1.2' | '1.3'): Promise<number> {
  const app = await mesh.server(scripted(() => okResponse('hello')));
  const sds = await mesh.readySds('/orders');
  const config = writeProxyConfig(mesh, `tls-${minVersion}.yaml`, {
    sds: { socket: sds.path },
    // As long as it is not said, it is 1.3.
    ...(minVersion === '1.3' ? {} : { tls: { minVersion } }),
    accessLog: 'off',
    listeners: [
      {
        name: 'in',
        address: '127.0.0.1:0',
        tls: { allow: ['spiffe://mesh.test/web'] },
        protocol: 'auto',
        routes: [{ prefix: '/', cluster: 'app' }],
      },
    ],
    clusters: [{ name: 'app', endpoints: [`127.0.0.1:${app.port}`] }],
  });
  const { port, adminPort } = await startProxyProcess(mesh, config);
  while ((await get(adminPort, '/readyz')).status !== 200);
  return port;
}

/** Findings above the least, but for those whose reasons are given. */
function faultsOf(findings: readonly Finding[]): readonly string[] {
  return findings
    .filter(({ severity }) => !harmless.has(severity))
    .filter(({ id, severity }) => !(id in (severity === 'WARN' ? notLookedInto : otherRules)))
    .map(({ id, severity, finding }) => `${id}: ${severity}: ${finding}`);
}

function said(findings: readonly Finding[], name: string): string | undefined {
  return findings.find(({ id }) => id === name)?.finding;
}

// DEBUG is what it says of itself. LOW is harm already.
const harmless = new Set(['OK', 'INFO', 'DEBUG']);
// Protocols, ciphers, forward secrecy, preferences, the server's hello and certificate, and all vulnerabilities.
const checks = '--quiet --color 0 --warnings off --nodns none --fast -p -s -f -P -S -U'.split(' ');
