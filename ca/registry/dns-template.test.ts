import { describe, expect, test } from 'vitest';
import { fillDnsNames, parseDnsTemplate } from './dns-template.ts';
import { parseSelector } from './selector.ts';

const facts = [
  'x509pop:subject:cn:web-7',
  'x509pop:san:dns:web-7.machines.test',
  'x509pop:serial:0a',
  'x509pop:ca:fingerprint:aa',
  'x509pop:ca:fingerprint:bb',
  'x509pop:big:Web',
  'x509pop:star:*.machines.test',
].map(parseSelector);

describe('a name', () => {
  test.for([
    ['web.mesh.test', 'web.mesh.test'],
    ['{x509pop.cn}.hosts.mesh.test', 'web-7.hosts.mesh.test'],
    ['node-{x509pop.serial}.{x509pop.cn}.mesh.test', 'node-0a.web-7.mesh.test'],
    ['*.{x509pop.cn}.mesh.test', '*.web-7.mesh.test'],
    // A whole name stands where the template asks for nothing else.
    ['{x509pop.dns}', 'web-7.machines.test'],
  ] as const)('%s is %s', ([template, name]) => {
    expect(fillDnsNames([parseDnsTemplate(template)], facts)).toEqual({
      kind: 'filled',
      names: [name],
    });
  });

  test.for([
    ['{join_token.id}.mesh.test', 'there is no {join_token.id}'],
    ['{x509pop.ca.fingerprint}.mesh.test', 'there are 2 values'],
    ['{x509pop.dns}.mesh.test', 'more than one label'],
    ['api-{x509pop.dns}', 'more than one label'],
    ['{x509pop.big}.mesh.test', 'not a DNS name'],
    ['{x509pop.star}', 'a wildcard is not one name'],
  ] as const)('%s is none: %s', ([template, detail]) => {
    const names = [parseDnsTemplate('web.mesh.test'), parseDnsTemplate(template)];
    expect(fillDnsNames(names, facts)).toMatchObject({
      kind: 'none',
      detail: expect.stringContaining(detail),
    });
  });
});

test('what two templates both give stands once', () => {
  const names = ['{x509pop.cn}.mesh.test', 'web-7.mesh.test'].map(parseDnsTemplate);
  expect(fillDnsNames(names, facts)).toMatchObject({ names: ['web-7.mesh.test'] });
});

test.for([
  ['Web.mesh.test', 'template_dns_name'],
  ['{x509pop.cn}..test', 'template_dns_name'],
  ['{x509pop.cn', 'template_form'],
  ['{cn}.mesh.test', 'template_placeholder'],
  ['', 'template_dns_name'],
  ['x'.repeat(513), 'template_length'],
] as const)('the template %j is refused', ([template, code]) => {
  expect(() => parseDnsTemplate(template)).toThrow(expect.objectContaining({ code }));
});
