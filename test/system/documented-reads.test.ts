/** The commands of docs/ca that only look are run, as they stand on the page, against a CA that has what they ask for. */

import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { signetScript } from '../../cli/demo/control-plane.ts';
import { parseCertificate } from '../../pki/index.ts';
import { projectRoot } from '../architecture/source-files.ts';
import { CaFixture, signed } from './ca-fixture.ts';
import { commandsOf, pagesWithCommands, wordsOf } from './shown-commands.ts';

/** Verbs that change nothing, and how they may end: what a policy or a rule refuses is an answer too. */
const reads: Readonly<Record<string, readonly number[]>> = {
  'audit checkpoint': [0],
  'audit prove': [0],
  'audit query': [0],
  'audit tail': [0],
  'audit verify': [0],
  'authority list': [0],
  'authority plan': [0],
  'bundle show': [0],
  'entry export': [0],
  'entry list': [0],
  'entry show': [0],
  'node list': [0],
  'node show': [0],
  'policy check': [0],
  'policy explain': [0, 2],
  'policy show': [0],
  'policy test': [0],
  'rule explain': [0],
  'rule list': [0],
  'rule show': [0],
  'svid crl': [0],
  'svid revocations': [0],
  'token list': [0],
};

let mesh: CaFixture;
let place: string;
/** What a page names, and what it is called here. */
let names: readonly (readonly [RegExp, string])[];

beforeAll(async () => {
  mesh = await CaFixture.begin();
  place = join(mesh.directory, 'reader');
  await mkdir(place);
  const policy = join(place, 'policy.yaml');
  await writeFile(policy, 'rules: []\n');
  await mesh.restart({ policy });
  const node = await mesh.join();
  const entryId = await mesh.webEntry(node);
  const [leaf = new Uint8Array()] = await signed(node, entryId);
  const { serial } = parseCertificate(leaf);
  const rule = await mesh.admin.createRule({
    template: 'spiffe://{td}/host/{join_token.id}',
    selectors: ['unix:uid:1'],
  });
  await mesh.admin.revoke({ serial });
  // Enough records for the numbers that the pages prove.
  for (let count = 0; count < 12; count += 1) await mesh.admin.createToken({});
  names = [
    [/\/var\/lib\/signet\/ca/g, mesh.directory],
    [/(?<=rule \w+ )(?:<id>|[0-9a-f]{8}-[0-9a-f-]{27})/, rule.id],
    [/(?<!rule \w+ )(?:<id>|[0-9a-f]{8}-[0-9a-f-]{27})/, entryId],
    [/<spiffe-id>/, node.spiffeId],
    [/(?<=--serial )[0-9a-f]+/, serial],
  ];
  node.close();
  await symlink(join(projectRoot, 'policies'), join(place, 'policies'));
  await copyFile(join(mesh.directory, 'audit/verifier.pub'), join(place, 'verifier.pub'));
  const program = join(place, 'signet');
  await writeFile(program, `#!/bin/sh\nexec "${process.execPath}" "${signetScript}" "$@"\n`);
  await chmod(program, 0o755);
});
afterAll(() => mesh.end());

const pages = pagesWithCommands().filter((page) => page.startsWith('docs/ca/'));

test.for(pages)('%s', { timeout: 120_000 }, async (page) => {
  for (const { line, command } of commandsOf(page)) {
    const ends = reads[wordsOf(command).slice(0, 2).join(' ')];
    if (ends === undefined) continue;
    const { code, said } = await typed(command);
    expect(ends, `${page}:${line}: signet ${command}: ${said}`).toContain(code);
  }
});

test('most kinds of them are met', () => {
  const met = pages
    .flatMap(commandsOf)
    .map(({ command }) => wordsOf(command).slice(0, 2).join(' '))
    .filter((verb) => verb in reads);
  expect(new Set(met).size).toBeGreaterThan(10);
});

/** In a shell, with its redirections; what another program makes of the output is not ours. */
function typed(command: string): Promise<{ readonly code: number; readonly said: string }> {
  const [ours = ''] = command.split(' | ');
  const line = names.reduce((text, [pattern, name]) => text.replace(pattern, name), ours);
  return new Promise((resolve) => {
    execFile(
      '/bin/sh',
      ['-c', `signet ${line}`],
      {
        cwd: place,
        env: {
          PATH: `${place}:/usr/bin:/bin`,
          SIGNET_ADMIN_SOCKET: mesh.ca.adminSocket,
          SIGNET_DATA: mesh.directory,
        },
      },
      (error, _stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, said: stderr });
      },
    );
  });
}
