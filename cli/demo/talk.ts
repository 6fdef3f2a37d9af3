/** Questions to a child and its answers, one JSON line each. */

import { createInterface } from 'node:readline';
import type { z } from 'zod';
import type { Child } from './child.ts';
import { DemoError } from './wait.ts';

/** One JSON line in, one JSON line out, with a child that talks. */
export function askChild<Schema extends z.ZodType>(
  child: Child,
  question: unknown,
  schema: Schema,
): Promise<z.output<Schema>> {
  const answer = answerOf(child, schema);
  child.process.stdin?.write(`${JSON.stringify(question)}\n`);
  return answer;
}

/** The next JSON line the child writes. Rejects with {@link DemoError} if it ends first. */
export function answerOf<Schema extends z.ZodType>(
  child: Child,
  schema: Schema,
): Promise<z.output<Schema>> {
  const { stdout } = child.process;
  if (stdout === null) throw new DemoError('demo_failed', `${child.name} does not talk`);
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: stdout });
    lines.once('line', (line) => {
      lines.close();
      resolve(schema.parse(JSON.parse(line)));
    });
    child.process.once('exit', () =>
      reject(new DemoError('demo_failed', `${child.name} ended; see logs/${child.name}.log`)),
    );
  });
}
