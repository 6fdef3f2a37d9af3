/** A file that lines are appended to and synced: the least that a durable record can cost. */

import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Closable } from '../../core/index.ts';

export interface BareAppend extends Closable {
  /** All lines with one write and one sync. */
  append(lines: readonly string[]): void;
}

export function openBareAppend(directory: string): BareAppend {
  const file = openSync(join(directory, 'records.txt'), 'a', 0o600);
  return {
    append(lines) {
      writeSync(file, `${lines.join('\n')}\n`);
      fdatasyncSync(file);
    },
    async close() {
      closeSync(file);
    },
  };
}
