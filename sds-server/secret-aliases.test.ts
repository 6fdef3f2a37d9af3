import { expect, test } from 'vitest';
import { checkAliases } from './secret-aliases.ts';
import { resolveSecretName } from './secret-name.ts';

const check = (entries: Record<string, string>) => checkAliases(new Map(Object.entries(entries)));

test('names of other meshes become aliases, the built-in short ones too', () => {
  const verdict = check({
    server_cert: 'default',
    'file-root:system': 'spiffe://mesh.test',
    validation_context: 'spiffe://mesh.test',
    ROOTCA: 'ALL',
    oauth: 'secret:oauth-hmac',
  });
  if (verdict.kind !== 'valid') throw new Error('refused');
  expect(resolveSecretName('file-root:system', verdict.aliases)).toMatchObject({
    kind: 'bundle',
  });
  expect(resolveSecretName('ROOTCA', verdict.aliases)).toEqual({ kind: 'all_bundles' });
  expect(resolveSecretName('oauth', verdict.aliases)).toEqual({
    kind: 'named',
    name: 'oauth-hmac',
  });
});

test.for([
  ['spiffe://mesh.test/web', 'default', 'alias', /SPIFFE ID/],
  ['SPIFFE://mesh.test/web', 'default', 'alias', /SPIFFE ID/],
  ['*', 'default', 'alias', /cannot be an alias/],
  ['', 'default', 'alias', /cannot be an alias/],
  ['x'.repeat(2049), 'default', 'alias', /longer than 2048/],
  ['cert', 'cert', 'target', /is an alias itself/],
  ['cert', 'spiffe://MESH.test/web', 'target', /no secret has this name/],
  ['cert', 'file-cert:/a~/b', 'target', /no secret has this name/],
  ['cert', '', 'target', /no secret has this name/],
] as const)('an alias is refused: %#, $3', ([alias, target, at, reason]) => {
  expect(check({ [alias]: target })).toEqual({
    kind: 'refused',
    faults: [{ alias, at, reason: expect.stringMatching(reason) }],
  });
});

test('aliases cannot loop, over however many steps; every fault is told', () => {
  const verdict = check({ a: 'b', b: 'c', c: 'a', fine: 'default' });
  expect(verdict).toMatchObject({
    kind: 'refused',
    faults: [{ alias: 'a' }, { alias: 'b' }, { alias: 'c' }],
  });
});
