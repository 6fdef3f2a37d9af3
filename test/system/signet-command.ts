/** Runs the `signet` command to its end and answers what it printed. */

import { execFile } from 'node:child_process';
import { signetScript } from '../../cli/demo/control-plane.ts';

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Ends by itself, or is ended after 20 s (code -1). The environment is only what is given. */
export function runSignet(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [signetScript, ...args],
      { env: { PATH: process.env['PATH'] ?? '', ...environment }, timeout: 20_000 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, stdout, stderr });
      },
    );
  });
}
