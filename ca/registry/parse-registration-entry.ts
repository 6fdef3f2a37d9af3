/** Reading what an operator wrote into a registration entry, with every fault at once. */

import {
  parseSpiffeId,
  parseTrustDomain,
  pathOf,
  type SpiffeId,
  SpiffeIdError,
  type TrustDomain,
  TrustDomainError,
  trustDomainOf,
} from '../../spiffe/index.ts';
import { dnsNameFault } from './dns-name.ts';
import {
  type EntryDraft,
  EntryError,
  type EntryFault,
  type EntryFaultCode,
  type EntrySpec,
  isReservedPath,
  reservedPath,
} from './registration-entry.ts';
import { canonicalSelectors, parseSelector, type Selector, SelectorError } from './selector.ts';

/**
 * Checks what an operator wrote against the trust domain it is for, and the time it is now.
 *
 * Throws {@link EntryError} with every fault, not only the first.
 */
export function parseRegistrationEntry(
  draft: EntryDraft,
  trustDomain: TrustDomain,
  nowMs = 0,
): EntrySpec {
  const faults: EntryFault[] = [];
  const report = (field: string, code: EntryFaultCode, detail: string): undefined => {
    faults.push({ field, code, detail });
  };
  const spiffeId = parseEntryId(draft.spiffeId, trustDomain, report);
  const parentId = parseParentId(draft.parentId, trustDomain, report);
  const selectors = parseSelectors(draft.selectors, report);
  const { x509SvidTtlMs, jwtSvidTtlMs } = draft;
  for (const [field, ttlMs] of Object.entries({ x509SvidTtlMs, jwtSvidTtlMs })) {
    if (ttlMs === undefined || isWhole(ttlMs, ttlMsMin, ttlMsMax)) continue;
    report(field, 'entry_ttl', `${ttlMs} ms is not between 1s and 365d`);
  }
  const dnsNames = parseDnsNames(draft.dnsNames ?? [], report);
  const hint = draft.hint ?? '';
  if (Buffer.byteLength(hint) > hintBytesMax || !hint.isWellFormed() || /\p{Cc}/u.test(hint)) {
    report(
      'hint',
      'entry_hint',
      `a hint has at most ${hintBytesMax} bytes, none a control character`,
    );
  }
  const federatesWith = parseFederatesWith(draft.federatesWith ?? [], trustDomain, report);
  const priority = draft.priority ?? 0;
  if (!isWhole(priority, -priorityMax, priorityMax)) {
    report('priority', 'entry_priority', `${priority} is not between ±${priorityMax}`);
  }
  const { expiresAtMs } = draft;
  if (expiresAtMs !== undefined && !isWhole(expiresAtMs, nowMs + 1, timeMsMax)) {
    report('expiresAt', 'entry_expiry', 'is not a time to come');
  }
  const [first, ...rest] = faults;
  if (first !== undefined) throw new EntryError(first, rest);
  if (spiffeId === undefined || parentId === undefined) throw new Error('a fault went unreported');
  return {
    spiffeId,
    parentId,
    selectors,
    ...(x509SvidTtlMs === undefined ? {} : { x509SvidTtlMs }),
    ...(jwtSvidTtlMs === undefined ? {} : { jwtSvidTtlMs }),
    dnsNames,
    hint,
    federatesWith,
    admin: draft.admin ?? false,
    priority,
    ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
  };
}

type Report = (field: string, code: EntryFaultCode, detail: string) => undefined;

function parseEntryId(
  text: string,
  trustDomain: TrustDomain,
  report: Report,
): SpiffeId | undefined {
  const id = parseId('spiffeId', 'entry_spiffe_id', text, trustDomain, report);
  if (id === undefined) return undefined;
  const path = pathOf(id);
  // SPIFFE-ID §2.2: the ID without a path is the trust domain's own, not a workload's.
  if (path === '') return report('spiffeId', 'entry_root_path', `${id} has no path`);
  if (isReservedPath(path)) {
    return report(
      'spiffeId',
      'entry_reserved_path',
      `${id} is under ${reservedPath}, kept for the CA`,
    );
  }
  return id;
}

/** A node, a node alias, or the CA itself (which makes the entry a node alias). */
function parseParentId(
  text: string,
  trustDomain: TrustDomain,
  report: Report,
): SpiffeId | undefined {
  const id = parseId('parentId', 'entry_parent_id', text, trustDomain, report);
  if (id === undefined) return undefined;
  const path = pathOf(id);
  const isNode = path.startsWith(`${reservedPath}/node/`);
  const isKnownKind = isNode || path === `${reservedPath}/ca` || !isReservedPath(path);
  if (path !== '' && isKnownKind) return id;
  return report('parentId', 'entry_parent_id', `${id} is neither a node, an alias nor the CA`);
}

function parseId(
  field: string,
  code: EntryFaultCode,
  text: string,
  trustDomain: TrustDomain,
  report: Report,
): SpiffeId | undefined {
  try {
    const id = parseSpiffeId(text);
    if (trustDomainOf(id) === trustDomain) return id;
    return report(
      field,
      'entry_trust_domain',
      `${id} is not in trust domain ${trustDomain}; write an ID that begins with spiffe://${trustDomain}/`,
    );
  } catch (error) {
    if (!(error instanceof SpiffeIdError)) throw error;
    return report(field, code, error.message);
  }
}

function parseSelectors(texts: readonly string[], report: Report): readonly Selector[] {
  // An entry without selectors would match every workload of the node.
  if (texts.length === 0) report('selectors', 'entry_selectors_empty', 'at least one is required');
  if (texts.length > selectorsMax) {
    report('selectors', 'entry_selectors_many', `${texts.length}, at most ${selectorsMax}`);
    return [];
  }
  const selectors: Selector[] = [];
  for (const [index, text] of texts.entries()) {
    try {
      selectors.push(parseSelector(text));
    } catch (error) {
      if (!(error instanceof SelectorError)) throw error;
      report(`selectors[${index}]`, 'entry_selector', error.message);
    }
  }
  return canonicalSelectors(selectors);
}

function parseDnsNames(names: readonly string[], report: Report): readonly string[] {
  if (names.length > dnsNamesMax) {
    report('dnsNames', 'entry_dns_names_many', `${names.length}, at most ${dnsNamesMax}`);
    return [];
  }
  for (const [index, name] of names.entries()) {
    const fault = dnsNameFault(name);
    if (fault !== undefined) report(`dnsNames[${index}]`, 'entry_dns_name', fault);
  }
  return [...new Set(names)];
}

function parseFederatesWith(
  names: readonly string[],
  own: TrustDomain,
  report: Report,
): readonly TrustDomain[] {
  const field = 'federatesWith';
  if (names.length > federatesWithMax) {
    report(field, 'entry_federates_with_many', `${names.length}, at most ${federatesWithMax}`);
    return [];
  }
  const found = new Set<TrustDomain>();
  for (const [index, name] of names.entries()) {
    try {
      const trustDomain = parseTrustDomain(name);
      if (trustDomain !== own) found.add(trustDomain);
      else report(`${field}[${index}]`, 'entry_federates_with', `${name} is this trust domain`);
    } catch (error) {
      if (!(error instanceof TrustDomainError)) throw error;
      report(`${field}[${index}]`, 'entry_federates_with', error.message);
    }
  }
  return [...found];
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= min && value <= max;
}

const ttlMsMin = 1000;
const ttlMsMax = 365 * 86_400_000;
// The end of the year 9999, the last that RFC 3339 can write.
const timeMsMax = 253_402_300_799_999;
// SPIFFE Workload API §4.4: a hint is at most 1024 bytes long.
const hintBytesMax = 1024;
const priorityMax = 1_000_000;
// A workload has a few dozen facts; an entry that names more cannot match one.
const selectorsMax = 64;
// Each one makes every certificate of the entry longer, and TLS peers bound a chain's size.
const dnsNamesMax = 64;
// Each one is a bundle pushed to every workload of the entry.
const federatesWithMax = 64;
