import { test as property, fc } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import { parseTrustDomain } from '../../spiffe/index.ts';
import { deriveIdentity, parseIdentityTemplate, TemplateError } from './derived-identity.ts';
import { selectorOf } from './selector.ts';

const trustDomain = parseTrustDomain('mesh.test');
const derive = (template: string, facts: readonly (readonly [string, string])[]) =>
  deriveIdentity(
    parseIdentityTemplate(template, trustDomain),
    facts.map(([type, value]) => selectorOf(type, value)),
  );

describe('templates', () => {
  test.for([
    ['spiffe://{td}/host/{x509pop.cn}', [['x509pop', 'subject:cn:web-7']], '/host/web-7'],
    ['spiffe://mesh.test/n/{join_token.id}', [['join_token', '3f']], '/n/3f'],
    [
      'spiffe://{td}/ns/{k8s.ns}/sa/{k8s.sa}',
      [
        ['k8s', 'ns:shop'],
        ['k8s', 'sa:web'],
      ],
      '/ns/shop/sa/web',
    ],
    ['spiffe://{td}/{x509pop.san.dns}', [['x509pop', 'san:dns:a.test']], '/a.test'],
    [
      'spiffe://{td}/rack-{dc.rack}.{dc.row}',
      [
        ['dc', 'rack:7'],
        ['dc', 'row:2'],
      ],
      '/rack-7.2',
    ],
    ['spiffe://{td}/fixed', [], '/fixed'],
    [
      'spiffe://{td}/{a.b}',
      [
        ['a', 'b:x'],
        ['a', 'bc:y'],
        ['ab', 'b:z'],
      ],
      '/x',
    ],
  ] as const)('%s with %j is %s', ([template, facts, path]) => {
    expect(derive(template, facts)).toEqual({ kind: 'derived', id: `spiffe://mesh.test${path}` });
  });

  test.for([
    [[], 'fact_missing'],
    [
      [
        ['x509pop', 'subject:cn:a'],
        ['x509pop', 'subject:cn:b'],
      ],
      'fact_ambiguous',
    ],
    [[['x509pop', 'subject:cn:a/b']], 'fact_not_a_segment'],
    [[['x509pop', 'subject:cn:..']], 'fact_not_a_segment'],
    [[['x509pop', 'subject:cn:.']], 'fact_not_a_segment'],
    [[['x509pop', 'subject:cn:web seven']], 'fact_not_a_segment'],
    [[['x509pop', 'subject:cn:wéb']], 'fact_not_a_segment'],
    [[['x509pop', 'subject:cn:%2e%2e']], 'fact_not_a_segment'],
    [[['x509pop', 'subject:cn:{td}']], 'fact_not_a_segment'],
    [[['x509pop', 'subject:cn:signet']], 'id_reserved'],
  ] as const)('%j gives no identity: %s', ([facts, code]) => {
    expect(derive('spiffe://{td}/{x509pop.cn}', facts)).toMatchObject({ kind: 'none', code });
  });

  test.for([
    ['spiffe://other.test/{a.b}', 'template_trust_domain'],
    ['spiffe://{td}', 'template_trust_domain'],
    ['spiffe://{td}.evil.test/x', 'template_trust_domain'],
    ['spiffe://{td}/', 'template_path'],
    ['spiffe://{td}/a//b', 'template_path'],
    ['spiffe://{td}/a/../b', 'template_path'],
    ['spiffe://{td}/a b', 'template_path'],
    ['spiffe://{td}/signet/node/{a.b}', 'template_path'],
    ['spiffe://{td}/{a.b', 'template_form'],
    ['spiffe://{td}/a}b', 'template_form'],
    ['spiffe://{td}/{a}', 'template_placeholder'],
    ['spiffe://{td}/{}', 'template_placeholder'],
    ['spiffe://{td}/{a.b{c.d}}', 'template_placeholder'],
    [`spiffe://{td}/${'{a.b}'.repeat(17)}`, 'template_many_placeholders'],
    [`spiffe://{td}/${'x'.repeat(2048)}`, 'template_length'],
  ] as const)('%s is refused: %s', ([template, code]) => {
    expect(() => parseIdentityTemplate(template, trustDomain)).toThrow(
      expect.objectContaining({ code }) as TemplateError,
    );
  });

  test('what would be longer than a SPIFFE ID may be is none', () => {
    const facts = [['x509pop', `subject:cn:${'x'.repeat(2000)}`]] as const;
    const template = `spiffe://{td}/${'y'.repeat(100)}/{x509pop.cn}`;
    expect(derive(template, facts)).toMatchObject({ kind: 'none', code: 'id_invalid' });
  });

  property.prop([fc.string({ maxLength: 60 })])(
    'whatever a fact says, it stays one segment of the place it was given',
    (value) => {
      const facts = /\p{Cc}/u.test(value) || value === '' || !value.isWellFormed() ? 'x' : value;
      const identity = derive('spiffe://{td}/a/{t.k}/b', [['t', `k:${facts}`]]);
      if (identity.kind === 'none') return;
      expect(identity.id.split('/')).toEqual(['spiffe:', '', 'mesh.test', 'a', facts, 'b']);
    },
  );

  property.prop([fc.string({ maxLength: 80 })])('any text is a template or refused', (text) => {
    try {
      parseIdentityTemplate(`spiffe://{td}/${text}`, trustDomain);
    } catch (error) {
      expect(error).toBeInstanceOf(TemplateError);
    }
  });
});
