/** SQLite's write-ahead log, synced at every commit: what most programs would write records to. */

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Closable } from '../../core/index.ts';

export interface SqliteLog extends Closable {
  /** All lines in one transaction, durable when it returns. */
  append(lines: readonly string[]): void;
}

export function openSqliteLog(directory: string): SqliteLog {
  const database = new DatabaseSync(join(directory, 'records.sqlite'));
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL');
  database.exec('CREATE TABLE record (number INTEGER PRIMARY KEY, line TEXT NOT NULL)');
  const insert = database.prepare('INSERT INTO record (line) VALUES (?)');
  return {
    append(lines) {
      database.exec('BEGIN');
      for (const line of lines) insert.run(line);
      database.exec('COMMIT');
    },
    async close() {
      database.close();
    },
  };
}
