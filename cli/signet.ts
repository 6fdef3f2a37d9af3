#!/usr/bin/env node
/** The `signet` command. It only makes what follows load faster, and must stand before all of it. */

import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Beside the code, with the code's owner: in a directory that others may write to, somebody could leave
// code there for this process to run. Where it cannot be written, nothing is cached.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/signet'));

await import('./main.ts');
