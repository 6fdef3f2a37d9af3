/** The configuration files that the documents show are ones that the programs accept. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseAgentConfig, parseRemoteSdsConfig, parseSinkConfig } from '../../agent/index.ts';
import { parseCaConfig } from '../../ca/index.ts';
import { parsePolicyDocument, runPolicyTests } from '../../policies/index.ts';
import { parseProxyConfig } from '../../proxy/index.ts';
import { projectRoot } from '../architecture/source-files.ts';

test('the sidecar of docs/sidecars.md', () => {
  const [config = ''] = blocksOf('docs/sidecars.md', 'yaml');
  const parsed = parseProxyConfig(config, 'docs/sidecars.md');
  expect(parsed.listeners.map(({ name }) => name)).toEqual(['inbound', 'outbound']);
  expect(() => parseProxyConfig(config.replace('plaintext: true', ''), 'x')).toThrow(
    'listeners[1]',
  );
});

test('the CA and the agent of README.md', () => {
  const files = blocksOf('README.md', 'sh').flatMap(hereDocumentsOf);
  expect(files).toHaveLength(2);
  const [ca = '', agent = ''] = files;
  expect(parseCaConfig(ca, 'README.md').trustDomain).toBe('mesh.test');
  const filled = `${agent.replace(/<the root's SHA-256>/, '00'.repeat(32))}join: { token: t }\n`;
  expect(parseAgentConfig(filled, 'README.md').trustDomain).toBe('mesh.test');
});

test('the sink of docs/agent/export.md and the SDS server of docs/sds/remote.md', () => {
  const [sink = ''] = blocksOf('docs/agent/export.md', 'yaml');
  const parsed = parseSinkConfig(sink, 'docs/agent/export.md');
  expect(parsed.sinks[0]?.reload?.argv).toEqual(['/usr/bin/systemctl', 'reload', 'app.service']);
  const keystore = sink.replaceAll('# format', 'format').replaceAll('# password', 'password');
  expect(parseSinkConfig(keystore, 'x').sinks[0]?.format).toBe('pkcs12');
  expect(() => parseSinkConfig(sink.replace('# format', 'format'), 'x')).toThrow('passwordFile');

  const [remote = ''] = blocksOf('docs/sds/remote.md', 'yaml');
  const { limits, listen } = parseRemoteSdsConfig(remote, 'docs/sds/remote.md');
  expect(listen).toEqual({ host: '0.0.0.0', port: 7445 });
  // What the page shows as the defaults are the defaults.
  const bare = remote.slice(0, remote.indexOf('limits:'));
  expect(parseRemoteSdsConfig(bare, 'x').limits).toEqual(limits);
});

/** Each file that a page shows a part of: what else it has to say, and who reads it. */
const readers: Record<string, (fragment: string, page: string) => unknown> = {
  'ca.yaml': (fragment, page) =>
    parseCaConfig(
      completed(fragment, [
        'trustDomain: mesh.test',
        'data: /var/lib/signet/ca',
        'keyEncryptionKey: { file: /etc/signet/kek }',
      ]),
      page,
    ),
  'agent.yaml': (fragment, page) =>
    parseAgentConfig(
      completed(fragment.replace(/rootSha256: \w+…/, `rootSha256: ${'00'.repeat(32)}`), [
        'trustDomain: mesh.test',
        `ca: { address: 127.0.0.1:7443, rootSha256: ${'00'.repeat(32)} }`,
        ...(/^attest:/m.test(fragment) ? [] : ['join: { token: t }']),
      ]),
      page,
    ),
  'policy.yaml': (fragment, page) => {
    const results = runPolicyTests(parsePolicyDocument(fragment, page));
    expect(results.length).toBeGreaterThan(0);
    expect(results.filter(({ passed }) => !passed)).toEqual([]);
  },
  'proxy.yaml': parseProxyConfig,
  'sds-server.yaml': parseRemoteSdsConfig,
  'sink.yaml': parseSinkConfig,
};

test.each(shownFragments())('$page, block $block, is a part of $file', ({ page, file, texts }) => {
  expect(Object.keys(readers), 'the first line names no file of ours').toContain(file);
  expect(texts.length).toBeGreaterThan(0);
  for (const text of texts) {
    expect(() => readers[file]?.(text, page)).not.toThrow();
    // A key that the program does not know is a fault, so that the page's keys are known ones.
    expect(() => readers[file]?.(`${text}\nnobodyKnowsThis: 1\n`, page)).toThrow('nobodyKnowsThis');
  }
});

/** Every YAML block of every page but Envoy's; its first line names the file, or else the page's folder does. */
function shownFragments() {
  return readdirSync(join(projectRoot, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .toSorted()
    .flatMap((path) =>
      blocksOf(`docs/${path}`, 'yaml').map((text, index) => {
        const named = /^# (?:\S*\/)?([\w-]+\.yaml)/.exec(text)?.[1];
        const usual = path.startsWith('sidecars') ? 'proxy.yaml' : 'agent.yaml';
        const file = named ?? (path.startsWith('ca/') ? 'unnamed' : usual);
        // Alternatives are one to a line.
        const several = /^# .*: one of these/.test(text);
        const texts = several ? text.split('\n').filter((line) => /^\w/.test(line)) : [text];
        return { page: `docs/${path}`, block: index + 1, file, texts };
      }),
    )
    .filter(({ texts }) => !texts.some((text) => text.includes('type.googleapis.com/envoy.')));
}

/** The fragment with those of the lines whose key it does not have. */
function completed(fragment: string, lines: readonly string[]): string {
  const missing = lines.filter(
    (line) => !new RegExp(`^${line.slice(0, line.indexOf(':'))}:`, 'm').test(fragment),
  );
  return `${fragment}\n${missing.join('\n')}\n`;
}

/** The fenced blocks of one language, in order. */
function blocksOf(document: string, language: string): string[] {
  const text = readFileSync(join(projectRoot, document), 'utf8');
  return [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(
    ([, body = '']) => body,
  );
}

function hereDocumentsOf(script: string): string[] {
  return [...script.matchAll(/<<'YAML'\n([\s\S]*?)YAML\n/g)].map(([, body = '']) => body);
}
