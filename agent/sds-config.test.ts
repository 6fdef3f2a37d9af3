import { expect, test } from 'vitest';
import { ConfigError, parseConfig } from '../core/index.ts';
import { sdsField } from './sds-config.ts';
import { z } from 'zod';

const parse = (text: string) => parseConfig(text, 'agent.yaml', z.strictObject({ sds: sdsField }));

test('aliases are read, and may be left out', () => {
  const { sds } = parse('sds:\n  aliases: { server_cert: default, "kubernetes://ca": ROOTCA }\n');
  expect([...sds.aliases]).toEqual([
    ['server_cert', 'default'],
    ['kubernetes://ca', 'ROOTCA'],
  ]);
  expect(parse('').sds.aliases.size).toBe(0);
  expect(parse('sds: {}').sds.aliases.size).toBe(0);
});

test('each faulty alias is told with its line and column', () => {
  const text = `sds:
  aliases:
    fine: default
    again: fine
    spiffe://mesh.test/web: default
    nothing: "file-root:system"
`;
  let faults;
  try {
    parse(text);
  } catch (error) {
    if (error instanceof ConfigError) faults = error.faults;
  }
  expect(faults).toMatchObject([
    { path: 'sds.aliases.again', line: 4, column: 12, reason: '"fine" is an alias itself' },
    { path: 'sds.aliases.spiffe://mesh.test/web', line: 5 },
    { path: 'sds.aliases.nothing', line: 6 },
  ]);
});
