/** Config files: YAML text in, a checked value out, and every fault at once with its line and column. */

import { isMap, isNode, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import { z } from 'zod';
import { parseDurationMs } from './duration.ts';
import { CodedError } from './errors.ts';
import { knownKeys, nearestKey } from './known-keys.ts';
import { checkSocketPath, SocketPathError } from './socket-path.ts';
import { writtenOffset } from './written-offset.ts';

export interface ConfigFault {
  readonly path: string;
  readonly line: number;
  readonly column: number;
  readonly reason: string;
}

/** One error for the whole file; `faults` holds each fault in the order of the text. */
export class ConfigError extends CodedError<'config_invalid'> {
  override readonly name = 'ConfigError';
  override readonly kind = 'invalid_argument';
  readonly faults: readonly ConfigFault[];

  constructor(fileName: string, faults: readonly ConfigFault[]) {
    const lines = faults.map(
      (fault) =>
        `${fileName}:${fault.line}:${fault.column}: ${fault.path === '' ? '' : `${fault.path}: `}${fault.reason}`,
    );
    super('config_invalid', lines.join('\n'));
    this.faults = faults;
  }
}

/**
 * Parses `text` as YAML 1.2 and checks it with `schema`.
 *
 * Throws {@link ConfigError} with every fault, unknown keys included (objects in the schema must be
 * strict). The result is the schema's output, deeply frozen.
 */
export function parseConfig<Schema extends z.ZodType>(
  text: string,
  fileName: string,
  schema: Schema,
): z.output<Schema> {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter });
  const at = (offset: number): { line: number; column: number } => {
    const { line, col } = lineCounter.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  if (document.errors.length > 0) {
    throw new ConfigError(
      fileName,
      document.errors.map((error) => ({
        path: '',
        ...at(error.pos[0]),
        reason: error.message.split('\n')[0] ?? error.message,
      })),
    );
  }
  keepOddNumbersAsText(document);
  // maxAliasCount bounds "billion laughs" expansion of anchors.
  const result = schema.safeParse(document.toJS({ maxAliasCount: 100 }) ?? {});
  if (result.success) return deepFreeze(result.data);
  const faults = result.error.issues.flatMap((issue) =>
    faultsOf(issue, { text, document, at, schema }),
  );
  throw new ConfigError(
    fileName,
    faults.toSorted((left, right) => left.line - right.line || left.column - right.column),
  );
}

/**
 * YAML reads `0012` and `12e34` as numbers, and so would read one hash in many. Whoever means a number does
 * not write it like that, so the text is kept.
 */
function keepOddNumbersAsText(document: YamlDocument): void {
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value !== 'number' || node.source === undefined) return;
      if (oddNumber.test(node.source) || !Number.isSafeInteger(Math.trunc(node.value)))
        node.value = node.source;
    },
  });
}

type Position = (offset: number) => { line: number; column: number };
type YamlDocument = ReturnType<typeof parseDocument>;

interface Parsed {
  readonly text: string;
  readonly document: YamlDocument;
  readonly at: Position;
  readonly schema: z.ZodType;
}

function faultsOf(issue: z.core.$ZodIssue, { text, document, at, schema }: Parsed): ConfigFault[] {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, path);
    return issue.keys.map((key) => ({
      path: formatPath([...path, key]),
      ...at(keyOffset(document, path, key)),
      reason: unknownKey(key, known),
    }));
  }
  const offset = offsetInside(text, document, path, issue) ?? nodeOffset(document, path);
  return [{ path: formatPath(path), ...at(offset), reason: reasonOf(issue, document, path) }];
}

function unknownKey(key: string, known: readonly string[]): string {
  const meant = nearestKey(key, known);
  if (meant !== undefined) return `unknown key; did you mean ${meant}?`;
  return known.length === 0 ? 'unknown key' : `unknown key; known here: ${known.join(', ')}`;
}

function reasonOf(
  issue: z.core.$ZodIssue,
  document: YamlDocument,
  path: readonly (string | number)[],
): string {
  if (issue.code !== 'invalid_type' || document.hasIn(path)) return issue.message;
  return `is required (${issue.expected === 'object' ? 'a mapping' : `of type ${issue.expected}`})`;
}

/** An issue with `params: { offset }` means a place inside a text value, such as one word of an expression. */
function offsetInside(
  text: string,
  document: YamlDocument,
  path: readonly (string | number)[],
  issue: z.core.$ZodIssue,
): number | undefined {
  const offset: unknown = issue.code === 'custom' ? issue.params?.['offset'] : undefined;
  const node = typeof offset === 'number' ? document.getIn(path, true) : undefined;
  if (typeof offset !== 'number' || !isScalar(node) || typeof node.value !== 'string') {
    return undefined;
  }
  const [start, end] = node.range ?? [0, 0];
  const inside = writtenOffset(text.slice(start, end), node.value, offset);
  return inside === undefined ? undefined : start + inside;
}

/** Where the value at `path` begins; for a missing one, where the nearest parent begins. */
function nodeOffset(document: YamlDocument, path: readonly (string | number)[]): number {
  for (let length = path.length; length >= 0; length -= 1) {
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range !== null && node.range !== undefined) return node.range[0];
  }
  return 0;
}

function keyOffset(
  document: YamlDocument,
  path: readonly (string | number)[],
  key: string,
): number {
  const map = path.length === 0 ? document.contents : document.getIn(path, true);
  const keys = isMap(map) ? map.items.map((item) => item.key) : [];
  const found = keys.filter(isScalar).find((node) => node.value === key);
  if (found?.range !== null && found?.range !== undefined) return found.range[0];
  return nodeOffset(document, path);
}

function formatPath(path: readonly (string | number)[]): string {
  return path.reduce<string>(
    (text, part) =>
      typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`,
    '',
  );
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const child of Object.values(value)) deepFreeze(child);
  return Object.freeze(value);
}

/** A duration such as `10s`; the output is in milliseconds. */
export const durationField = z.string().transform((text, context) => {
  const durationMs = parseDurationMs(text);
  if (durationMs !== undefined && durationMs > 0) return durationMs;
  context.addIssue({
    code: 'custom',
    message: `${JSON.stringify(text)} is not a duration; write for example 30s, 5m, 24h or 365d`,
  });
  return z.NEVER;
});

/** An absolute Unix socket path that fits the system's bound. */
export const socketPathField = z.string().superRefine((text, context) => {
  try {
    checkSocketPath(text);
  } catch (error) {
    if (!(error instanceof SocketPathError)) throw error;
    context.addIssue({ code: 'custom', message: error.message });
  }
});

/** `host:port`; an empty host (`:7443`) means every address. */
export const addressField = z
  .string()
  .transform((text, context): { host: string; port: number } => {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
    const port = Number(match?.[3] ?? Number.NaN);
    if (match !== null && port <= 65_535) {
      const host = match[1] ?? match[2] ?? '';
      return { host: host === '' ? '::' : host, port };
    }
    context.addIssue({
      code: 'custom',
      message: `${JSON.stringify(text)} is not an address; write host:port, for example 127.0.0.1:7443`,
    });
    return z.NEVER;
  });

const oddNumber = /^0\d|[eE]/;
