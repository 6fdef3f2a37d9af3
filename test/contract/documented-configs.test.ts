/** The configuration files that the documents show are ones that the programs accept. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseAgentConfig } from '../../agent/index.ts';
import { parseCaConfig } from '../../ca/index.ts';
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
