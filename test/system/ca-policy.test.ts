import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../core/index.ts';
import { createCertificateRequest, generateKeyPair, keySigner } from '../../pki/index.ts';
import { adminRequest } from '../fakes/admin-request.ts';
import type { TestNode } from './ca-client.ts';
import { CaFixture, signed } from './ca-fixture.ts';
import { runSignet } from './signet-command.ts';

let mesh: CaFixture;
let file: string;
let node: TestNode;

const rules = (...list: readonly object[]): string =>
  JSON.stringify({ rules: list.map((rule) => ({ effect: 'deny', reason: 'not here', ...rule })) });
const noRsa = { name: 'no-rsa', when: 'request.keyType.startsWith("rsa")', reason: 'EC keys only' };
const noWeb = { name: 'no-web', when: 'entry.path == "/web"' };

beforeEach(async () => {
  mesh = await CaFixture.begin();
  file = join(mesh.directory, 'policy.yaml');
});
afterEach(async () => {
  node?.close();
  await mesh.end();
});

async function under(policy: string): Promise<string> {
  await writeFile(file, policy);
  await mesh.restart({ policy: file });
  node = await mesh.join();
  const id = await mesh.webEntry(node);
  // The entry is known to the CA's view of the registry as soon as the node is told of it.
  const sync = node.sync();
  await sync.state(({ entries }) => entries.some((entry) => entry.id === id));
  sync.cancel();
  await sync.ended;
  return id;
}

async function refusalOf(entryId: string, kind: 'ec-p256' | 'rsa-2048'): Promise<unknown> {
  const { privateKey } = generateKeyPair(kind);
  const csr = await createCertificateRequest(keySigner(privateKey));
  const { items } = await node.sign(entryId, csr);
  const outcome = items[0]?.outcome;
  return outcome?.$case === 'refusal' ? outcome.value : undefined;
}

async function records(type: string): Promise<readonly object[]> {
  const { records: all } = await mesh.admin.audit({ from: 0, limit: 1000 });
  return all.filter((record) => record.type === type);
}

describe('a policy', () => {
  test('refuses with its reason, and which rule decided is in the audit log', async () => {
    const entryId = await under(rules(noRsa));
    expect(await refusalOf(entryId, 'rsa-2048')).toEqual({
      kind: 'permission_denied',
      code: 'policy_denied',
      detail: 'EC keys only',
    });
    expect(await refusalOf(entryId, 'ec-p256')).toBeUndefined();
    expect(await records('svid.denied')).toMatchObject([
      {
        actor: { kind: 'node', id: node.spiffeId },
        entryId,
        refusal: { code: 'policy_denied', detail: 'EC keys only' },
        policy: { rule: 'no-rsa', reason: 'EC keys only' },
      },
    ]);
    expect((await records('svid.issued')).at(-1)).toMatchObject({
      policy: { rule: 'default', reason: 'no rule speaks against it' },
    });
    expect(await records('policy.loaded')).toMatchObject([
      { actor: { kind: 'system' }, document: { file, rules: 1 } },
    ]);
    // The node's own certificate is no question of the policy; the two above were.
    const { text } = await adminRequest(mesh.ca.adminSocket, { method: 'GET', path: '/metrics' });
    const verdicts = text.match(/^signet_ca_policy_verdicts_total\{.*$/gm) ?? [];
    expect(verdicts.toSorted()).toEqual([
      'signet_ca_policy_verdicts_total{kind="x509",verdict="allow"} 1',
      'signet_ca_policy_verdicts_total{kind="x509",verdict="deny"} 1',
    ]);
  });

  test('sees what the node was proved to be', async () => {
    const entryId = await under(
      rules({
        name: 'only-this',
        effect: 'allow',
        when: 'node.selectors.exists(each, each.startsWith("join_token:")) && node.id != ""',
      }),
    );
    expect(await refusalOf(entryId, 'ec-p256')).toBeUndefined();
    await writeFile(file, rules({ ...noWeb, when: 'size(node.selectors) > 0' }));
    await mesh.admin.reloadPolicy();
    expect(await refusalOf(entryId, 'ec-p256')).toMatchObject({ code: 'policy_denied' });
  });

  test('never stands between a node and its own certificate', async () => {
    await under(rules({ name: 'nothing', when: 'true' }));
    expect(await node.renew()).toHaveLength(2);
  });

  test('judges tokens too', async () => {
    const entryId = await under(
      rules({ name: 'one-audience', when: 'size(request.audience) > 1', reason: 'one at a time' }),
    );
    const { items } = await node.mint([
      { entryId, audience: ['a'], ttlMs: 0n, selectors: [] },
      { entryId, audience: ['a', 'b'], ttlMs: 0n, selectors: [] },
    ]);
    expect(items.map(({ outcome }) => outcome?.$case)).toEqual(['minted', 'refusal']);
    expect(await records('jwt.denied')).toMatchObject([{ policy: { rule: 'one-audience' } }]);
  });
});

describe('the file', () => {
  test('a CA does not start with a faulty one, and says each fault', async () => {
    await writeFile(
      file,
      rules({ name: 'a', when: 'entry.colour == 1' }, { name: 'b', when: '1 +' }),
    );
    await mesh.stop();
    await expect(mesh.start({ policy: file })).rejects.toMatchObject({
      code: 'config_invalid',
      faults: [{ path: 'rules[0].when' }, { path: 'rules[1].when' }],
    });
    await expect(mesh.start({ policy: `${file}.none` })).rejects.toMatchObject({
      kind: 'failed_precondition',
    });
    await mesh.restart();
    await expect(mesh.admin.reloadPolicy()).rejects.toMatchObject({ code: 'policy_none' });
    expect(await mesh.admin.policy()).toMatchObject({ configured: false });
  });

  test('is read again on demand; with a fault the one before stays', async () => {
    const entryId = await under(rules(noWeb));
    await expect(signed(node, entryId)).rejects.toThrow('policy_denied');
    await writeFile(file, rules(noRsa));
    expect(await mesh.admin.reloadPolicy()).toMatchObject({ rules: [{ name: 'no-rsa' }] });
    await signed(node, entryId);

    await writeFile(file, rules({ ...noWeb, when: 'entry.path == 3' }));
    await expect(mesh.admin.reloadPolicy()).rejects.toMatchObject({
      code: 'policy_refused',
      message: expect.stringContaining('string == int'),
      remedy: expect.stringContaining('stays in force'),
    });
    await rm(file);
    await expect(mesh.admin.reloadPolicy()).rejects.toMatchObject({ code: 'policy_refused' });
    expect(await mesh.admin.policy()).toMatchObject({ rules: [{ name: 'no-rsa' }] });
    await signed(node, entryId);
    const loaded = await records('policy.loaded');
    expect(loaded).toMatchObject([
      { actor: { kind: 'system' } },
      { actor: { kind: 'admin', uid: process.getuid?.() } },
    ]);
  });

  test('requests that are under way while it is exchanged see one policy or the other', async () => {
    const named = (name: string): string =>
      rules(
        { name: `${name}-1`, when: 'request.ttlSeconds > 3600', reason: name },
        { name: `${name}-2`, when: 'true', reason: name },
      );
    const entryId = await under(named('one'));
    const exchanged = new AbortController();
    const seen: string[] = [];
    const asking = (async () => {
      while (!exchanged.signal.aborted)
        seen.push(JSON.stringify(await refusalOf(entryId, 'ec-p256')));
    })();
    for (let round = 0; round < 10; round += 1) {
      await writeFile(file, named(round % 2 === 0 ? 'two' : 'one'));
      await mesh.admin.reloadPolicy();
      await refusalOf(entryId, 'ec-p256');
    }
    exchanged.abort();
    await asking;
    const details = new Set(seen.map((text) => /"detail":"(\w*)"/.exec(text)?.[1]));
    expect(details).toEqual(new Set(['one', 'two']));
  });
});

describe('the command', () => {
  test('explains a request that nobody made', async () => {
    const entryId = await under(
      rules(noRsa, {
        name: 'a-day',
        when: 'request.ttlSeconds > 3600',
        reason: 'an hour at most',
      }),
    );
    const size = (await records('svid.issued')).length;
    const explain = async (...more: readonly string[]): Promise<unknown> => {
      const args = ['policy', 'explain', '--entry', entryId, '--socket', mesh.ca.adminSocket];
      const { stdout } = await runSignet([...args, '-o', 'json', ...more]);
      return JSON.parse(stdout);
    };
    expect(await explain()).toMatchObject({ verdict: 'allow', rule: 'default' });
    expect(await explain('--ttl', '86400')).toEqual({
      verdict: 'deny',
      rule: 'a-day',
      reason: 'an hour at most',
    });
    expect(await explain('--key', 'rsa-2048')).toMatchObject({ verdict: 'deny', rule: 'no-rsa' });
    expect((await records('svid.issued')).length).toBe(size);
    await expect(mesh.admin.explainPolicy({ entryId: 'nobody' })).rejects.toMatchObject({
      code: 'entry_not_found',
    });
  });

  test('tests a document and ends with 2 when one of its tests fails', async () => {
    const example = 'policies/examples/ttl-cap-per-namespace.yaml';
    const good = await runSignet(['policy', 'test', example]);
    expect(good).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^ok .*fifteen minutes/m),
    });
    const text = await readFile(example, 'utf8');
    await writeFile(file, text.replace('expect: allow', 'expect: deny'));
    const bad = await runSignet(['policy', 'test', file]);
    expect(bad).toMatchObject({ code: 2, stdout: expect.stringMatching(/^FAILED .*fifteen/m) });
    expect(bad.stderr).toContain('1 of 7 tests failed');
  });

  test('checks a document and names line and column of each fault', async () => {
    await writeFile(
      file,
      'rules:\n  - name: a\n    effect: deny\n    when: entry.colour == 1\n    reason: r\n',
    );
    const { code, stderr } = await runSignet(['policy', 'check', file]);
    expect(code).toBe(2);
    expect(stderr).toContain(`${file}:4:17: rules[0].when: there is no fact "colour" here`);
    await writeFile(file, rules(noRsa));
    expect(await runSignet(['policy', 'check', file])).toMatchObject({
      code: 0,
      stdout: `${file}: 1 rules, 0 tests, default allow\n`,
    });
  });
});

test('a freeze denies what is new and renews what was there', async () => {
  const entryId = await under(rules());
  await signed(node, entryId);
  const nowMs = systemClock.wallMs();
  const freeze = (fromMs: number): string =>
    rules({
      name: 'freeze',
      when: `entry.createdAt >= timestamp("${new Date(fromMs).toISOString()}")`,
    });
  await writeFile(file, freeze(nowMs + 3_600_000));
  await mesh.admin.reloadPolicy();
  await signed(node, entryId);
  await writeFile(file, freeze(nowMs - 3_600_000));
  await mesh.admin.reloadPolicy();
  await expect(signed(node, entryId)).rejects.toThrow('not here');
});
