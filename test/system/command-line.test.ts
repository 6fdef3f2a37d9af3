/** Every command of `signet` under the same three questions: help, wrong usage, and what is not there. */

import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { jsonLogger, seededRandom, systemClock } from '../../core/index.ts';
import type { ProgramContext } from '../../cli/program-context.ts';
import { endOf } from '../../cli/root-command.ts';
import { signetCommand } from '../../cli/signet-command.ts';

interface Ended {
  readonly exitCode: number;
  readonly answered: string;
  readonly refused: string;
}

/** Runs a command line in this process, with everything it writes. */
async function run(...args: readonly string[]): Promise<Ended> {
  let answered = '';
  let refused = '';
  const write = (text: string): void => {
    answered += text;
  };
  const context: ProgramContext = {
    clock: systemClock,
    random: seededRandom(1),
    environment: {},
    write,
    isTerminal: false,
    logger: jsonLogger,
    stopped: new AbortController().signal,
    beginClean: () => {},
  };
  const signet = signetCommand(context);
  for (const { command } of commandsOf(signet)) {
    command.configureOutput({
      writeOut: write,
      writeErr: (text) => {
        refused += text;
      },
    });
  }
  try {
    await signet.parseAsync(args, { from: 'user' });
    return { exitCode: 0, answered, refused };
  } catch (error) {
    const { exitCode, text } = endOf(error);
    return { exitCode, answered, refused: `${refused}${text}` };
  }
}

/** Those that help shows. A hidden one is how a program starts itself again, and nobody's to type. */
function commandsOf(
  command: Command,
  path: readonly string[] = [],
): { readonly path: readonly string[]; readonly command: Command }[] {
  return [
    { path, command },
    ...command
      .createHelp()
      .visibleCommands(command)
      .filter((sub) => sub.name() !== 'help')
      .flatMap((sub) => commandsOf(sub, [...path, sub.name()])),
  ];
}

const nowhere = '/nowhere/at/all';
/** What a command needs beside its own words, so that only what it works on is missing. */
const needs: Readonly<Record<string, readonly string[]>> = {
  'ca run': ['--config', nowhere],
  'agent run': ['--config', nowhere],
  'proxy run': ['--config', nowhere],
  'ca backup': ['--to', nowhere],
  'ca restore': ['--from', nowhere, '--data', nowhere],
  'ca reseal': ['--old-kek', nowhere, '--new-kek', nowhere, '--data', nowhere],
  'entry create': [
    '--id',
    'spiffe://mesh.test/a',
    '--parent',
    'spiffe://mesh.test/n',
    '--selector',
    'unix:uid:1',
  ],
  'rule create': ['--template', 'spiffe://mesh.test/{k8s.ns}', '--require', 'k8s:ns:a'],
  'policy explain': ['--entry', 'e'],
  'jwt mint': ['--entry', 'e', '--audience', 'a'],
  'jwt verify': ['--bundle', nowhere, '--trust-domain', 'mesh.test', '--audience', 'a'],
  'audit verify': ['--data', nowhere],
  'audit checkpoint': ['--data', nowhere],
  'audit prove': ['--data', nowhere],
  'audit archive': ['--before', '2026-01-01T00:00:00Z', '--to', nowhere, '--data', nowhere],
  'audit restart': ['--data', nowhere, '--reason', 'r', '--i-lost-the-log'],
  'svid revoke': ['--serial', 'ab'],
  'svid export': ['--out', '/tmp'],
  'svid sink': ['--config', nowhere],
  'sds-server run': ['--config', nowhere],
  'bundle set': ['--file', nowhere],
  'jwt fetch': ['--audience', 'a'],
  'jwt validate': ['--audience', 'a'],
  explain: ['--pid', '1'],
};
// They run until they are stopped, and answer nothing.
const programs = leaves().flatMap(({ path }) => (path[1] === 'run' ? [path.join(' ')] : []));
programs.push('svid sink');

function leaves() {
  return commandsOf(signetCommand({} as never)).filter(
    ({ command }) => command.commands.length === 0,
  );
}

describe.for(leaves().map(({ path, command }) => [path.join(' '), command] as const))(
  'signet %s',
  ([name, command]) => {
    const path = name.split(' ');
    const given = command.registeredArguments.map(() =>
      name.startsWith('node') ? 'spiffe://mesh.test/signet/node/join-token/n' : nowhere,
    );

    test('has help with an example of itself, and answers in JSON', async () => {
      const { exitCode, answered } = await run(...path, '--help');
      expect(exitCode).toBe(0);
      expect(answered).toMatch(new RegExp(`Examples:[^]*\\$ .*signet ${name}`));
      if (!programs.includes(name)) expect(answered).toContain('--output');
    });

    test('refuses what it does not know in one line, and ends with 2', async () => {
      const wrong = await run(...path, ...given, ...(needs[name] ?? []), '--no-such-option');
      expect(wrong).toMatchObject({ exitCode: 2, answered: '' });
      expect(wrong.refused).toMatch(/^signet: .*--no-such-option.*; see signet .* --help\n$/);
    });

    test('says what is missing in one line, and ends with 2', async () => {
      const sockets = ['socket', 'svidSocket'].filter((each) =>
        command.options.some((option) => option.attributeName() === each),
      );
      const options = sockets.flatMap((each) => [
        each === 'socket' ? '--socket' : '--svid-socket',
        `${nowhere}.sock`,
      ]);
      const missing = await run(...path, ...given, ...(needs[name] ?? []), ...options);
      expect(missing).toMatchObject({ exitCode: 2, answered: '' });
      expect(missing.refused).toMatch(/^signet: .*\/nowhere.*\n$/);
    });
  },
);
