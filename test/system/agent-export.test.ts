/** SVIDs as files: what OpenSSL and Java read back, what is refused, and a sink through a rotation. */

import { execFileSync, spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { parseAgentConfig, type RunningAgent, startAgent } from '../../agent/index.ts';
import { signetScript } from '../../cli/demo/control-plane.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { FakeCa } from '../fakes/fake-ca.ts';
import { runSignet } from './signet-command.ts';
import { lacks } from '../programs.ts';

let directory: string;
let socket: string;
let agent: RunningAgent;
let ca: FakeCa;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'export-'));
  socket = join(directory, 'agent.sock');
  ca = new FakeCa({ tokens: ['token'] });
  await ca.start();
  const uid = process.getuid?.() ?? 0;
  ca.setEntries([
    { id: 'app', spiffeId: 'spiffe://mesh.test/app', selectors: [`unix:uid:${uid}`] },
    { id: 'other', spiffeId: 'spiffe://mesh.test/other', selectors: [`unix:uid:${uid}`] },
  ]);
  agent = await startAgent(
    parseAgentConfig(
      `{ trustDomain: mesh.test, ca: { address: "${ca.address}", rootSha256: "${ca.rootSha256}" },
         socket: ${socket}, join: { token: token }, cache: off }`,
      'agent.yaml',
    ),
    { clock: systemClock, random: systemRandom, log: silentLogger, environment: {} },
  );
});

afterAll(async () => {
  await agent.close();
  await ca.stop();
  rmSync(directory, { recursive: true });
});

// Keys, a certificate, two programs: on a busy machine it takes its time.
const rotation = { timeout: 20_000, interval: 50 };
const exportTo = (...args: string[]) => runSignet(['svid', 'export', '--socket', socket, ...args]);

function withPassword(name: string, text = 'changeit'): string {
  const path = join(directory, name);
  writeFileSync(path, `${text}\n`, { mode: 0o600 });
  return path;
}

/** A key that OpenSSL says is the certificate's. */
function expectPair(certificate: string, key: string): void {
  const publicOf = (args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8' });
  expect(publicOf(['x509', '-in', certificate, '-noout', '-pubkey'])).toBe(
    publicOf(['pkey', '-in', key, '-pubout']),
  );
}

test.skipIf(lacks('openssl'))(
  'PEM: OpenSSL verifies the chain, the key is its owner’s alone, and the command is loud',
  async () => {
    const out = join(directory, 'pem');
    const { code, stderr, stdout } = await exportTo('--out', out, '-o', 'json');
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringContaining('A PRIVATE KEY IS ON THE DISK'),
    });
    expect(JSON.parse(stdout)).toMatchObject({ spiffeId: 'spiffe://mesh.test/app', path: out });
    const [leaf, key, bundle] = ['svid.pem', 'svid_key.pem', 'svid_bundle.pem'].map((name) =>
      join(out, name),
    ) as [string, string, string];
    expectPair(leaf, key);
    const verified = execFileSync('openssl', [
      'verify',
      '-CAfile',
      bundle,
      '-untrusted',
      leaf,
      leaf,
    ]);
    expect(verified.toString()).toContain('OK');
    expect(statSync(key).mode & 0o777).toBe(0o600);
    expect(stderr + stdout).not.toContain('PRIVATE KEY-----');

    // Again, over what it wrote itself; and another identity by name.
    expect((await exportTo('--out', out, '--spiffe-id', 'spiffe://mesh.test/other')).code).toBe(0);
    expect(new X509Certificate(readFileSync(leaf)).subjectAltName).toBe(
      'URI:spiffe://mesh.test/other',
    );
    expect(readdirSync(out).filter((name) => name.startsWith('..svid-'))).toHaveLength(1);
  },
);

test.skipIf(lacks('openssl'))(
  'a file that others may read, or a directory that others may write, is refused; made narrow, it is taken',
  async () => {
    const out = join(directory, 'narrow');
    mkdirSync(out, { mode: 0o700 });
    const key = join(out, 'svid_key.pem');
    writeFileSync(key, 'old');
    chmodSync(key, 0o644);
    const wide = await exportTo('--out', out);
    expect(wide).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('exists with mode 0644'),
    });
    expect(readdirSync(out)).toEqual(['svid_key.pem']);
    expect(readFileSync(key, 'utf8')).toBe('old');
    chmodSync(key, 0o600);
    chmodSync(out, 0o777);
    expect(await exportTo('--out', out)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('others may write into'),
    });
    chmodSync(out, 0o700);
    expect((await exportTo('--out', out)).code).toBe(0);
    expectPair(join(out, 'svid.pem'), key);
  },
);

test.skipIf(lacks('openssl'))(
  'PKCS#12: OpenSSL reads the key, the chain and the roots, with the right password alone',
  async () => {
    const out = join(directory, 'app.p12');
    const password = withPassword('password');
    const { code } = await exportTo(
      '--format',
      'pkcs12',
      '--out',
      out,
      '--password-file',
      password,
    );
    expect(code).toBe(0);
    expect(statSync(out).mode & 0o777).toBe(0o600);
    const read = (secret: string, ...args: string[]): string =>
      execFileSync('openssl', ['pkcs12', '-in', out, '-passin', `pass:${secret}`, ...args], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    const pem = join(directory, 'from-p12.pem');
    writeFileSync(pem, read('changeit', '-nodes'), { mode: 0o600 });
    const key = join(directory, 'from-p12-key.pem');
    writeFileSync(key, read('changeit', '-nodes', '-nocerts'), { mode: 0o600 });
    const leaf = join(directory, 'from-p12-leaf.pem');
    writeFileSync(leaf, read('changeit', '-nokeys', '-clcerts'));
    expectPair(leaf, key);
    expect(readFileSync(pem, 'utf8').match(/BEGIN CERTIFICATE/g)).toHaveLength(3);
    expect(() => read('changeme', '-nodes')).toThrow();

    chmodSync(password, 0o644);
    expect(
      await exportTo('--format', 'pkcs12', '--out', out, '--password-file', password),
    ).toMatchObject({ code: 2, stderr: expect.stringContaining('may be read by others') });
    const short = withPassword('short', 'abc');
    expect(
      await exportTo('--format', 'pkcs12', '--out', out, '--password-file', short),
    ).toMatchObject({ code: 2, stderr: expect.stringMatching(/3 characters, 6 to 512/) });
  },
);

test.skipIf(lacks('keytool'))(
  'PKCS#12: Java reads the key’s entry with its chain up to the root, and that as trusted',
  async () => {
    const out = join(directory, 'java.p12');
    const password = withPassword('java-password');
    const { code } = await exportTo(
      '--format',
      'pkcs12',
      '--out',
      out,
      '--password-file',
      password,
    );
    expect(code).toBe(0);
    const run = (...args: string[]): string =>
      execFileSync(
        'keytool',
        [
          ...args,
          '-keystore',
          out,
          '-storetype',
          'PKCS12',
          '-storepass',
          'changeit',
          '-J-XX:TieredStopAtLevel=1',
        ],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
      );
    const list = run('-list', '-v');
    expect(list).toContain('Alias name: app\n');
    expect(list).toContain('Entry type: PrivateKeyEntry');
    expect(list).toContain('Certificate chain length: 3');
    expect(list).toContain('Entry type: trustedCertEntry');
    expect(list).toContain('spiffe://mesh.test/app');
    // It opens the key itself: a request is signed with it.
    expect(run('-certreq', '-alias', 'app')).toContain('BEGIN NEW CERTIFICATE REQUEST');
  },
);

test.skipIf(lacks('openssl'))(
  'a sink follows a rotation as a set, tells the application, and tries again when that fails',
  async () => {
    const out = join(directory, 'sink');
    const told = join(directory, 'told');
    const reload = join(directory, 'reload.sh');
    const ready = join(directory, 'ready');
    // Fails until it is allowed to work; then notes the serial that it saw.
    writeFileSync(
      reload,
      `#!/bin/sh\n[ -e ${ready} ] || { echo not ready; exit 3; }\nopenssl x509 -in ${out}/svid.pem -noout -serial >> ${told}\n`,
      { mode: 0o700 },
    );
    const config = join(directory, 'sink.yaml');
    writeFileSync(
      config,
      JSON.stringify({ socket, sinks: [{ directory: out, reload: { command: [reload] } }] }),
    );
    const sink = spawn(process.execPath, [signetScript, 'svid', 'sink', '--config', config], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    sink.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    try {
      await eventually(() => expect(log).toContain('the reload command failed; it is tried again'));
      expect(log).toContain('PRIVATE KEYS ARE WRITTEN TO A DISK');
      expect(log).toContain('not ready');
      const first = readlinkSync(join(out, '..current'));
      // Whole lines only: the shell makes the file before openssl has read anything.
      const serials = (): string[] =>
        existsSync(told) ? readFileSync(told, 'utf8').split('\n').slice(0, -1) : [];
      writeFileSync(ready, '');
      await eventually(() => expect(serials()).toHaveLength(1));

      await ca.activate(await ca.addRoot());
      await vi.waitFor(() => expect(new Set(serials()).size, log).toBeGreaterThan(1), rotation);
      expect(readlinkSync(join(out, '..current'))).not.toBe(first);
      await eventually(() =>
        expect(readdirSync(out).filter((name) => name.startsWith('..svid-'))).toHaveLength(1),
      );
      expectPair(join(out, 'svid.pem'), join(out, 'svid_key.pem'));
      expect(statSync(join(out, 'svid_key.pem')).mode & 0o777).toBe(0o600);
    } finally {
      sink.kill('SIGTERM');
      const [code] = (await once(sink, 'exit')) as [number];
      expect(code).toBe(0);
    }
  },
);
