/** Every `signet` command that a page shows is one that the command line takes: its verbs, options and operands. */

import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { processContext } from '../../cli/program-context.ts';
import { signetCommand } from '../../cli/signet-command.ts';
import { commandsOf, pagesWithCommands, wordsOf } from './shown-commands.ts';

const context = processContext();
const pages = pagesWithCommands();

/** What the command line says to these words, without doing anything; undefined: it takes them. */
async function refusalOf(words: readonly string[]): Promise<string | undefined> {
  const signet = signetCommand(context);
  let said = '';
  const still = (command: Command): void => {
    command.configureOutput({ writeOut: () => {}, writeErr: (text) => void (said += text) });
    if (command.commands.length === 0) command.action(() => {});
    for (const sub of command.commands) still(sub);
  };
  still(signet);
  try {
    await signet.parseAsync(words, { from: 'user' });
    return undefined;
  } catch (error) {
    const isAsked = error instanceof Error && 'exitCode' in error && error.exitCode === 0;
    return isAsked ? undefined : said;
  }
}

describe.for(pages)('%s', (page) => {
  test('shows commands that are there', async () => {
    const refused: string[] = [];
    for (const { line, command } of commandsOf(page)) {
      const refusal = await refusalOf(wordsOf(command));
      if (refusal !== undefined) refused.push(`${page}:${line}: ${command}: ${refusal.trim()}`);
    }
    expect(refused).toEqual([]);
  });
});

test('a command that is not there would be found', async () => {
  expect(await refusalOf(wordsOf('entry list --parent x | head'))).toBeUndefined();
  expect(await refusalOf(wordsOf('entry lst'))).toContain('lst');
  expect(await refusalOf(wordsOf('entry list --colour'))).toContain('--colour');
  expect(pages.flatMap(commandsOf).length).toBeGreaterThan(50);
});
