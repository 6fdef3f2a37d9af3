/** The `signet` commands that pages show, as their readers would type them. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../architecture/source-files.ts';

export interface Shown {
  readonly line: number;
  /** What stands after `signet`, to the end of the line. */
  readonly command: string;
}

/** Paths of the pages that show commands, as seen from the project's root. */
export function pagesWithCommands(): readonly string[] {
  return [
    'README.md',
    ...readdirSync(join(projectRoot, 'docs'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  ].filter((page) => commandsOf(page).length > 0);
}

/** Command lines of fenced blocks, `\` at their ends joined. */
export function commandsOf(page: string): readonly Shown[] {
  const lines = readFileSync(join(projectRoot, page), 'utf8').split('\n');
  const shown: Shown[] = [];
  let isFenced = false;
  for (let at = 0; at < lines.length; at += 1) {
    const line = at + 1;
    let text = lines[at] ?? '';
    if (text.trimStart().startsWith('```')) {
      isFenced = !isFenced;
      continue;
    }
    if (!isFenced) continue;
    while (text.endsWith('\\') && at + 1 < lines.length) {
      at += 1;
      text = `${text.slice(0, -1)} ${(lines[at] ?? '').trim()}`;
    }
    for (const [, command = ''] of text.matchAll(startOfCommand)) shown.push({ line, command });
  }
  return shown;
}

/** The words of one command, up to where the shell begins another. */
export function wordsOf(command: string): readonly string[] {
  const words: string[] = [];
  // What a reader fills in, or a shell does, is one word.
  const filled = command.replaceAll(/<[^<>]+>|\$\([^()]*\)/g, 'filled-in');
  for (const [word] of filled.matchAll(/"[^"]*"|'[^']*'|[^\s"']+/g)) {
    if (/^(?:[|;&>#)]|\d?>)/.test(word)) break;
    const bare = word.replaceAll(/^["']|["']$/g, '');
    words.push(bare.replace(/[;)`]+$/, ''));
    if (/[;)]$/.test(word)) break;
  }
  return words;
}

// At the start of a line, after a prompt or an assignment, or within `$(…)`.
const startOfCommand = /(?:^|\$ |[A-Z_]+=\S* |\$\()(?:npm run -s |npx )?signet (?!-)(.*)$/g;
