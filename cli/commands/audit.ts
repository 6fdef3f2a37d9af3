/** `signet audit`: read the issuance log, and prove that nobody has changed it. */

import { Command } from 'commander';
import type { ProgramContext } from '../program-context.ts';
import { addArchive, addCheckpoint, addProve, addVerify } from './audit-prove.ts';
import { addRestart } from './audit-restart.ts';
import { addQuery, addTail } from './audit-query.ts';

export function auditCommand(context: ProgramContext): Command {
  const audit = new Command('audit').description('the issuance log');
  addTail(audit, context);
  addQuery(audit, context);
  addProve(audit, context);
  addVerify(audit, context);
  addCheckpoint(audit, context);
  addArchive(audit, context);
  addRestart(audit, context);
  return audit;
}
