/**
 * Reads stored entries by the hundred thousand. A record that is just as this version writes it is
 * checked here, member by member; any other goes to the codec, which takes it or says what is wrong.
 */

import { CodedError, utf8Text } from '../../core/index.ts';
import { isSpiffeId, type SpiffeId } from '../../spiffe/index.ts';
import { entryCodec, type RecordCodec, schemaVersion } from './record-codec.ts';
import type { RegistrationEntry } from './registration-entry.ts';
import { parseSelector, type Selector } from './selector.ts';

/** What entries have in common is kept once, for as long as the reader lives. */
export function entryReader(): Pick<RecordCodec<RegistrationEntry>, 'decode'> {
  const parents = new Shared((text) => (isSpiffeId(text) ? text : undefined));
  const selectors = new Shared((text) => parseSelector(text));
  return {
    decode: (item) => readEntry(item.value, parents, selectors) ?? entryCodec.decode(item),
  };
}

/** Undefined for all that is not plainly an entry, and for the rare one that names other trust domains. */
function readEntry(
  value: Uint8Array,
  parents: Shared<SpiffeId>,
  sharedSelectors: Shared<Selector>,
): RegistrationEntry | undefined {
  const json = parseObject(value);
  if (json === undefined || json['schema'] !== schemaVersion) return undefined;
  const { id, createdAtMs, revision, dnsNames, hint, federatesWith, admin, priority } = json;
  const { spiffeId, x509SvidTtlMs, expiresAtMs } = json;
  if (typeof id !== 'string' || !isWhole(createdAtMs, 0) || !isWhole(revision, 1)) return undefined;
  if (!isTexts(dnsNames) || typeof hint !== 'string') return undefined;
  if (!isTexts(federatesWith) || federatesWith.length > 0) return undefined;
  if (typeof admin !== 'boolean' || !isWhole(priority, Number.MIN_SAFE_INTEGER)) return undefined;
  if (typeof spiffeId !== 'string' || !isSpiffeId(spiffeId)) return undefined;
  if (x509SvidTtlMs !== undefined && !isWhole(x509SvidTtlMs, 1)) return undefined;
  if (expiresAtMs !== undefined && !isWhole(expiresAtMs, 0)) return undefined;
  const optional = Number(x509SvidTtlMs !== undefined) + Number(expiresAtMs !== undefined);
  // A member that is not known here may be known to the codec.
  if (Object.keys(json).length !== requiredMembers + optional) return undefined;
  const parentId = typeof json['parentId'] === 'string' ? parents.of(json['parentId']) : undefined;
  const selectors = readSelectors(json['selectors'], sharedSelectors);
  if (parentId === undefined || selectors === undefined) return undefined;
  return {
    id,
    createdAtMs,
    revision,
    spiffeId,
    parentId,
    selectors,
    ...(x509SvidTtlMs === undefined ? {} : { x509SvidTtlMs }),
    dnsNames: dnsNames.length === 0 ? none : dnsNames,
    hint,
    federatesWith: none,
    admin,
    priority,
    ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
  };
}

function parseObject(value: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const json: unknown = JSON.parse(utf8Text(value) ?? '');
    return isObject(json) ? json : undefined;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

function readSelectors(json: unknown, shared: Shared<Selector>): readonly Selector[] | undefined {
  if (!isTexts(json) || json.length === 0) return undefined;
  const selectors: Selector[] = [];
  for (const text of json) {
    const selector = shared.of(text);
    if (selector === undefined) return undefined;
    selectors.push(selector);
  }
  return selectors;
}

/** Texts that were judged, each kept once. */
class Shared<Text extends string> {
  readonly #known = new Map<string, Text>();
  readonly #judge: (text: string) => Text | undefined;

  constructor(judge: (text: string) => Text | undefined) {
    this.#judge = judge;
  }

  /** Undefined for a text that is refused. */
  of(text: string): Text | undefined {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const judged = this.#tried(text);
    if (judged === undefined) return undefined;
    if (this.#known.size >= sharedMax) this.#known.clear();
    this.#known.set(text, judged);
    return judged;
  }

  #tried(text: string): Text | undefined {
    try {
      return this.#judge(text);
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      return undefined;
    }
  }
}

function isObject(json: unknown): json is Readonly<Record<string, unknown>> {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

function isTexts(json: unknown): json is readonly string[] {
  return Array.isArray(json) && json.every((each) => typeof each === 'string');
}

function isWhole(json: unknown, min: number): json is number {
  return typeof json === 'number' && Number.isSafeInteger(json) && json >= min;
}

const none: readonly never[] = Object.freeze([]);
// With the schema's number among them.
const requiredMembers = 12;
// More different parents or selectors than that share little; those that do are found again.
const sharedMax = 50_000;
