import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RunningCa } from '../../ca/index.ts';
import { connectNode } from './ca-client.ts';
import { CaFixture, signed, trustDomain } from './ca-fixture.ts';

let mesh: CaFixture;
beforeEach(async () => {
  mesh = await CaFixture.begin();
});
afterEach(() => mesh.end());

test('a restart keeps everything', async () => {
  const node = await mesh.join();
  const entryId = await mesh.webEntry(node);
  const [bundle, entries, authorities] = [
    await mesh.admin.bundle(),
    await mesh.admin.listEntries({}),
    await mesh.admin.listAuthorities(),
  ];
  await mesh.restart();
  expect(await mesh.admin.bundle()).toBe(bundle);
  expect(await mesh.admin.listEntries({})).toEqual(entries);
  const after = await mesh.admin.listAuthorities();
  expect(after.authorities.map(({ id, state }) => [id, state])).toEqual(
    authorities.authorities.map(({ id, state }) => [id, state]),
  );
  const again = connectNode(await mesh.address(), node.key, node.attested);
  expect(await signed(again, entryId)).toHaveLength(2);
  again.close();
  node.close();
});

describe('a start is refused, in one line that says what to do', () => {
  const second = (): string => join(mesh.directory, 'second');
  const cases: readonly {
    readonly name: string;
    readonly start: () => Promise<RunningCa>;
    readonly code: string;
    readonly text: string;
  }[] = [
    {
      name: 'a store that another CA has open',
      start: () => mesh.start({ adminSocket: join(mesh.directory, 'b.sock') }),
      code: 'store_locked',
      text: 'in use by another process',
    },
    {
      name: 'lifetimes that contradict each other',
      start: () => mesh.start({ data: second(), lifetimes: { issuing: '1h', x509Svid: '2h' } }),
      code: 'lifetimes_contradict',
      text: '1h / 2 = 30m',
    },
    {
      name: 'no key-encryption key',
      start: () => mesh.start({ data: second() }, {}),
      code: 'kek_missing',
      text: 'KEK is not set',
    },
    {
      name: 'a key-encryption key file that is not there',
      start: () => mesh.start({ data: second(), keyEncryptionKey: { file: '/nowhere/kek' } }),
      code: 'file_missing',
      text: '/nowhere/kek',
    },
    {
      name: 'an admin socket that another CA serves',
      start: () => mesh.start({ data: second(), adminSocket: mesh.ca.adminSocket }),
      code: 'address_in_use',
      text: 'served by another process',
    },
  ];
  test.for(cases)('$name: $code', async ({ start: begin, code, text }) => {
    await expect(begin()).rejects.toMatchObject({
      kind: 'failed_precondition',
      code,
      message: expect.stringContaining(text),
      remedy: expect.any(String),
    });
    // What runs already is not harmed.
    expect(await mesh.admin.status()).toMatchObject({ trustDomain });
  });

  test('a port in use', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const taken = holder.address();
    const port = typeof taken === 'object' ? taken?.port : undefined;
    await expect(mesh.start({ data: second(), listen: `127.0.0.1:${port}` })).rejects.toMatchObject(
      {
        code: 'address_in_use',
      },
    );
    await new Promise((resolve) => holder.close(resolve));
    // It was let go of whole: the same directory can be started at once.
    await (await mesh.start({ data: second() })).close();
  });

  test('the wrong key-encryption key, or another trust domain, and nothing is changed', async () => {
    const { adminSocket } = mesh.ca;
    await mesh.stop();
    const other = randomBytes(32).toString('hex');
    await expect(mesh.start({}, { KEK: other })).rejects.toMatchObject({ code: 'kek_wrong' });
    await expect(mesh.start({ trustDomain: 'other.test' })).rejects.toMatchObject({
      code: 'authority_trust_domain',
    });
    expect(existsSync(adminSocket)).toBe(false);
    await mesh.restart();
    expect(await mesh.admin.listAuthorities()).toBeDefined();
  });
});
