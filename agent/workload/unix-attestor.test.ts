import { spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../../core/index.ts';
import type { UnixCaller } from '../../rpc/index.ts';
import { parseProcessStatus } from './proc.ts';
import { createUnixAttestor } from './unix-attestor.ts';

const { signal } = new AbortController();

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'proc-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const caller = (more: Partial<UnixCaller> = {}): UnixCaller => ({
  kind: 'unix',
  connection: 'connection-1',
  pid: 42,
  uid: 1000,
  gid: 100,
  process: { alive: () => true, replaced: () => false, release() {} },
  closed: new AbortController().signal,
  ...more,
});

const status = (more: Record<string, string> = {}): string =>
  Object.entries({
    Name: 'web',
    Uid: '1000\t1000\t1000\t1000',
    Gid: '100\t100\t100\t100',
    Groups: '100 27 ',
    ...more,
  })
    .map(([key, value]) => `${key}:\t${value}\n`)
    .join('');

/** A `/proc` with one process in it, and account files beside. */
function attestorOf(statusText: string, executable = '/bin/sh') {
  mkdirSync(join(directory, '42'));
  writeFileSync(join(directory, '42', 'status'), statusText);
  symlinkSync(executable, join(directory, '42', 'exe'));
  writeFileSync(join(directory, 'passwd'), 'web:x:1000:100::/:/bin/sh\n');
  writeFileSync(join(directory, 'group'), 'users:x:100:\nsudo:x:27:web\n');
  return createUnixAttestor({
    log: silentLogger,
    procRoot: directory,
    passwdPath: join(directory, 'passwd'),
    groupPath: join(directory, 'group'),
  });
}

test('user, groups and executable become selectors', async () => {
  const { selectors } = await attestorOf(status()).attest(caller(), signal);
  expect(selectors).toEqual([
    'unix:uid:1000',
    'unix:user:web',
    'unix:gid:100',
    'unix:group:users',
    'unix:supplementary_gid:100',
    'unix:supplementary_group:users',
    'unix:supplementary_gid:27',
    'unix:supplementary_group:sudo',
    'unix:path:/bin/sh',
  ]);
});

test('the hash is of the content, found once, and not of a file that took its place', async () => {
  const path = join(directory, 'tool');
  writeFileSync(path, 'one');
  const attestor = attestorOf(status(), path);
  const first = await attestor.attest(caller(), signal);
  expect(first.costly?.prefix).toBe('unix:sha256:');
  expect(await first.costly?.find()).toEqual([`unix:sha256:${hash('sha256', 'one', 'hex')}`]);

  const second = await attestor.attest(caller(), signal);
  rmSync(path);
  expect(await second.costly?.find()).toEqual([`unix:sha256:${hash('sha256', 'one', 'hex')}`]);

  writeFileSync(path, 'two');
  const third = await attestor.attest(caller(), signal);
  writeFileSync(path, 'three, which is longer');
  expect(await third.costly?.find()).toEqual([]);
});

test('a hash that is found after the process ended is not given', async () => {
  let alive = true;
  const process = { alive: () => alive, replaced: () => false, release() {} };
  const attested = await attestorOf(status()).attest(caller({ process }), signal);
  alive = false;
  expect(await attested.costly?.find()).toEqual([]);
});

test.for([
  [
    'caller_gone',
    status(),
    { process: { alive: () => false, replaced: () => false, release() {} } },
  ],
  ['caller_changed', status({ Uid: '1000\t0\t1000\t1000' }), {}],
  ['caller_changed', status({ Gid: '100\t0\t100\t100' }), {}],
  ['caller_unknown', status(), { pid: 43 }],
  ['caller_unknown', 'Name: x\n', {}],
] as const)(
  '%s is refused: another process must not inherit an identity',
  async ([code, text, more]) => {
    await expect(attestorOf(text).attest(caller({ ...more }), signal)).rejects.toMatchObject({
      code,
      kind: 'unavailable',
    });
  },
);

test('the pidfd is asked after /proc was read, not before', async () => {
  // A pid that is taken over between: what was read is of the new process, and the old one is dead.
  const order: string[] = [];
  const attestor = attestorOf(status());
  const attested = attestor.attest(
    caller({
      process: {
        alive: () => {
          order.push('asked');
          return true;
        },
        replaced: () => false,
        release() {},
      },
    }),
    signal,
  );
  order.push('began');
  await attested;
  expect(order).toEqual(['began', 'asked']);
});

test('a process that really runs is attested from the real /proc', async () => {
  const tool = join(directory, 'sleeper');
  copyFileSync('/bin/sleep', tool);
  chmodSync(tool, 0o755);
  const child = spawn(tool, ['60']);
  try {
    await new Promise((resolve) => child.once('spawn', resolve));
    const [uid = 0, gid = 0] = [process.getuid?.(), process.getgid?.()];
    const attestor = createUnixAttestor({ log: silentLogger });
    const real = caller({ pid: child.pid ?? 0, uid, gid });
    const attested = await attestor.attest(real, signal);
    expect(attested.selectors).toContain(`unix:path:${tool}`);
    const content = readFileSync(tool);
    expect(await attested.costly?.find()).toEqual([
      `unix:sha256:${hash('sha256', content, 'hex')}`,
    ]);
    // An unlinked file has a path no longer: another could be put there.
    rmSync(tool);
    const { selectors } = await attestor.attest(real, signal);
    expect(selectors.filter((selector) => selector.startsWith('unix:path:'))).toEqual([]);
  } finally {
    child.kill('SIGKILL');
  }
});

test('any status text parses to a process or to nothing', () => {
  fc.assert(
    fc.property(
      fc.string({
        unit: fc.constantFrom('Uid:', 'Gid:', 'Groups:', '\n', '\t', ' ', '0', '7', '-'),
      }),
      (text) => {
        const parsed = parseProcessStatus(`${text}\n${status()}`);
        if (parsed !== undefined) expect(parsed.groups.every(Number.isSafeInteger)).toBe(true);
      },
    ),
  );
  expect(parseProcessStatus(status({ Uid: '1000 x 1000 1000' }))).toBeUndefined();
  expect(parseProcessStatus(status({ Groups: '' }))?.groups).toEqual([]);
});
