/** One expression, parsed and type-checked once, then evaluated many times within bounds known beforehand. */

import { type Environment, ParseError, type ParseResult } from '@marcbachmann/cel-js';
import { type ExpressionFault, findUnbounded, stepsOf } from './expression-cost.ts';
import type { Variables } from './issuance-facts.ts';

export type Condition = (variables: Variables) => boolean;

export type Compiled =
  | { readonly kind: 'compiled'; readonly holds: Condition; readonly steps: number }
  | { readonly kind: 'faulty'; readonly fault: ExpressionFault };

export function compileCondition(environment: Environment, text: string): Compiled {
  if (text.length > expressionLengthMax) {
    const reason = `${text.length} characters, an expression has at most ${expressionLengthMax}`;
    return { kind: 'faulty', fault: { reason, offset: 0 } };
  }
  const parsed = parse(environment, text);
  if (parsed.kind === 'faulty') return parsed;
  const { expression } = parsed;
  const unbounded = findUnbounded(expression.ast);
  if (unbounded !== undefined) return { kind: 'faulty', fault: unbounded };
  const { valid, type, error } = expression.check();
  if (!valid) return { kind: 'faulty', fault: faultOf(error) };
  if (type !== 'bool') {
    const reason = `this is of type ${type ?? 'unknown'}, a condition is true or false`;
    return { kind: 'faulty', fault: { reason, offset: 0 } };
  }
  const steps = stepsOf(expression.ast);
  return { kind: 'compiled', holds: (variables) => expression(variables) === true, steps };
}

function parse(
  environment: Environment,
  text: string,
):
  | { readonly kind: 'parsed'; readonly expression: ParseResult }
  | Extract<Compiled, { kind: 'faulty' }> {
  try {
    return { kind: 'parsed', expression: environment.parse(text) };
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    return { kind: 'faulty', fault: faultOf(error) };
  }
}

function faultOf(
  error:
    | {
        readonly code: string;
        readonly summary: string;
        readonly range?: { readonly start: number };
      }
    | undefined,
): ExpressionFault {
  const summary = error?.summary ?? 'the expression is refused';
  const unknown =
    error?.code === 'no_such_key' ? /^No such key: (.*)$/.exec(summary)?.[1] : undefined;
  return {
    reason: unknown === undefined ? summary : `there is no fact "${unknown}" here`,
    offset: error?.range?.start ?? 0,
  };
}

const expressionLengthMax = 2000;
