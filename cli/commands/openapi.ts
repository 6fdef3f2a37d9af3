/** `signet openapi`: the admin API of a CA, as it describes itself. */

import { Command } from 'commander';
import { adminOf, administering, withExamples } from '../options.ts';
import type { ProgramContext } from '../program-context.ts';

export function openApiCommand(context: ProgramContext): Command {
  const openapi = administering(new Command('openapi'))
    .description('the admin API as an OpenAPI 3.1 document, from the schemas the CA validates with')
    .action(async (_options: unknown, command: Command) => {
      const document: unknown = JSON.parse(await adminOf(command).openApi());
      context.write(`${JSON.stringify(document, null, 2)}\n`);
    });
  return withExamples(openapi, [['signet openapi > admin-api.json', 'to make a client of']]);
}
