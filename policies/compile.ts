/** One expression, parsed and type-checked once, then evaluated many times within bounds known beforehand. */

import { type ASTNode, type Environment, ParseError, type ParseResult } from '@marcbachmann/cel-js';
import type { Variables } from './issuance-facts.ts';

export type Condition = (variables: Variables) => boolean;

export interface ExpressionFault {
  readonly reason: string;
  /** Where in the expression's text, from 0. */
  readonly offset: number;
}

export type Compiled =
  | { readonly kind: 'compiled'; readonly holds: Condition }
  | { readonly kind: 'faulty'; readonly fault: ExpressionFault };

export function compileCondition(environment: Environment, text: string): Compiled {
  if (text.length > expressionLengthMax) {
    const reason = `${text.length} characters, an expression has at most ${expressionLengthMax}`;
    return { kind: 'faulty', fault: { reason, offset: 0 } };
  }
  const parsed = parse(environment, text);
  if (parsed.kind === 'faulty') return parsed;
  const { expression } = parsed;
  const unbounded = findUnbounded(expression.ast, 0);
  if (unbounded !== undefined) return { kind: 'faulty', fault: unbounded };
  const { valid, type, error } = expression.check();
  if (!valid) return { kind: 'faulty', fault: faultOf(error) };
  if (type !== 'bool') {
    const reason = `this is of type ${type ?? 'unknown'}, a condition is true or false`;
    return { kind: 'faulty', fault: { reason, offset: 0 } };
  }
  return { kind: 'compiled', holds: (variables) => expression(variables) === true };
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

/**
 * What would take the types or the bounds away: `dyn` and `has` make a misspelt fact pass the check, a
 * regular expression can take longer than the universe lasts, and loops within loops multiply.
 */
function findUnbounded(node: ASTNode, loops: number): ExpressionFault | undefined {
  const called = callOf(node);
  const why = called === undefined ? undefined : refusedCalls.get(called);
  if (why !== undefined)
    return { reason: `${called}() is not for rules: ${why}`, offset: node.start };
  const isLoop = called !== undefined && loopCalls.has(called);
  if (isLoop && loops >= loopsMax) {
    return { reason: `loops stand in one another more than ${loopsMax} deep`, offset: node.start };
  }
  for (const child of childrenOf(node)) {
    const found = findUnbounded(child, isLoop ? loops + 1 : loops);
    if (found !== undefined) return found;
  }
  return undefined;
}

function callOf(node: ASTNode): string | undefined {
  return node.op === 'call' || node.op === 'rcall' ? node.args[0] : undefined;
}

function childrenOf(node: ASTNode): ASTNode[] {
  const found: ASTNode[] = [];
  const collect = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(collect);
    else if (isNode(value)) found.push(value);
  };
  collect(node.args);
  return found;
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value;
}

const refusedCalls: ReadonlyMap<string, string> = new Map([
  ['matches', 'a regular expression has no bound; use startsWith, endsWith, contains or under'],
  ['dyn', 'it would take the types away'],
  ['has', 'every fact is always there'],
]);

const loopCalls: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

// Selectors against selectors is the most that a rule has been seen to need.
const loopsMax = 2;
const expressionLengthMax = 2000;
