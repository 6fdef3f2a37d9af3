/**
 * What an expression may cost at most, known from its text alone: which functions it may call, how deep
 * its loops stand in one another, and how many steps it takes when every list is as long as it may be.
 */

import type { ASTNode } from '@marcbachmann/cel-js';

export interface ExpressionFault {
  readonly reason: string;
  /** Where in the expression's text, from 0. */
  readonly offset: number;
}

/** Facts have no longer lists; with more, no rule is asked and the request is denied. */
export const factListMax = 128;

/** The first thing that has no bound, or one that is too high; undefined: it may be evaluated. */
export function findUnbounded(node: ASTNode): ExpressionFault | undefined {
  const found = findRefused(node, 0);
  if (found !== undefined) return found;
  const steps = stepsOf(node);
  if (steps <= stepsMax) return undefined;
  const reason = `this can take ${steps} steps, a condition has at most ${stepsMax}`;
  return { reason, offset: node.start };
}

/** How many steps the expression takes at most; a step is some tens of nanoseconds. */
export function stepsOf(node: ASTNode): number {
  const called = callOf(node);
  if (called !== undefined && loopCalls.has(called)) {
    const [range, ...body] = childrenOf(node);
    if (range === undefined) return 1;
    return stepsOf(range) + lengthOf(range) * (1 + sum(body.map(stepsOf)));
  }
  const children = childrenOf(node);
  const inner = sum(children.map(stepsOf));
  const last = children.at(-1);
  if (node.op === 'in' && last !== undefined) return 1 + inner + lengthOf(last);
  return (called === undefined ? 1 : stepsOfCall(called, children.length)) + inner;
}

/** Calls outside the list are refused, since nobody has said what they cost. */
function findRefused(node: ASTNode, loops: number): ExpressionFault | undefined {
  const called = callOf(node);
  const why = called === undefined ? undefined : refusalOf(called);
  if (why !== undefined) return { reason: why, offset: node.start };
  const isLoop = called !== undefined && loopCalls.has(called);
  if (isLoop && loops >= loopsMax) {
    return { reason: `loops stand in one another more than ${loopsMax} deep`, offset: node.start };
  }
  for (const child of childrenOf(node)) {
    const found = findRefused(child, isLoop ? loops + 1 : loops);
    if (found !== undefined) return found;
  }
  return undefined;
}

function refusalOf(called: string): string | undefined {
  if (loopCalls.has(called) || plainCalls.has(called) || zonedCalls.has(called)) return undefined;
  const why = refusedCalls.get(called);
  return why === undefined
    ? `there is no ${called}() for rules`
    : `${called}() is not for rules: ${why}`;
}

/** How long the list is at most that comes out, or one inside it; 1 where no list can come out. */
function lengthOf(node: ASTNode): number {
  const called = callOf(node);
  const children = childrenOf(node);
  const all = sum(children.map(lengthOf));
  if (called !== undefined) {
    const range = children[0];
    if (range === undefined) return 1;
    if (called === 'filter') return lengthOf(range);
    // Its elements may be lists themselves, and a loop over the result meets those.
    return called === 'map' ? lengthOf(range) + lengthOf(children.at(-1) ?? range) : 1;
  }
  if (node.op === 'id' || node.op === '.') return factListMax;
  return listOperators.has(node.op) ? Math.max(1, all) : 1;
}

/** Reading a time zone's rules or the text of a time takes far longer than comparing strings. */
function stepsOfCall(called: string, children: number): number {
  if (zonedCalls.has(called)) return children > 1 ? zoneSteps : 1;
  return called === 'timestamp' || called === 'duration' ? timeSteps : 1;
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

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

// What would take the types or the bounds away, with the reason and what to use.
const refusedCalls: ReadonlyMap<string, string> = new Map([
  ['matches', 'a regular expression has no bound; use startsWith, endsWith, contains or under'],
  ['dyn', 'it would take the types away'],
  ['has', 'every fact is always there'],
  ['bind', 'names that double in one another have no bound'],
  ['split', 'a loop over characters has no bound; use segment or under'],
]);

// What a list can come out of, beside facts and loops.
const listOperators: ReadonlySet<string> = new Set(['list', '+', '?:', '[]']);

const loopCalls: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

const plainCalls: ReadonlySet<string> = new Set([
  'size',
  'startsWith',
  'endsWith',
  'contains',
  'indexOf',
  'lastIndexOf',
  'substring',
  'trim',
  'lowerAscii',
  'upperAscii',
  'bool',
  'double',
  'int',
  'string',
  'uint',
  'timestamp',
  'duration',
  'hour',
  'weekday',
  'date',
  'under',
  'segment',
]);

// These take a time zone, or none.
const zonedCalls: ReadonlySet<string> = new Set([
  'getDate',
  'getDayOfMonth',
  'getDayOfWeek',
  'getDayOfYear',
  'getFullYear',
  'getMonth',
  'getHours',
  'getMinutes',
  'getSeconds',
  'getMilliseconds',
]);

// Selectors against selectors is the most that a rule has been seen to need.
const loopsMax = 2;
// Selectors against selectors fits; it takes some milliseconds.
const stepsMax = 200_000;
// As measured beside the others.
const zoneSteps = 2500;
const timeSteps = 100;
