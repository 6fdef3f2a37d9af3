/** A selector: one attested fact about a node or a workload, written `type:value`. */

import { CodedError } from '../../core/index.ts';

declare const brand: unique symbol;

/** Kept as its text, so that `===` and sets compare it. Only {@link parseSelector} makes one. */
export type Selector = string & { readonly [brand]: 'Selector' };

export type SelectorErrorCode =
  | 'selector_length'
  | 'selector_no_type'
  | 'selector_type'
  | 'selector_no_value'
  | 'selector_value';

export class SelectorError extends CodedError<SelectorErrorCode> {
  override readonly name = 'SelectorError';
  override readonly kind = 'invalid_argument';
}

/** Throws {@link SelectorError}. The value may hold colons: only the first one divides. */
export function parseSelector(text: string): Selector {
  if (text.length > selectorLengthMax) {
    throw new SelectorError(
      'selector_length',
      `a selector has ${text.length} characters, at most ${selectorLengthMax} are allowed`,
    );
  }
  const colon = text.indexOf(':');
  if (colon === -1) throw refusal('selector_no_type', text, 'has no type; write type:value');
  if (!typePattern.test(text.slice(0, colon))) {
    throw refusal('selector_type', text, 'has a type that is not a-z, 0-9, _ or -');
  }
  if (colon === text.length - 1) throw refusal('selector_no_value', text, 'has no value');
  if (!isSelector(text)) {
    throw refusal('selector_value', text, 'has a control character or a lone surrogate in it');
  }
  return text;
}

/** The selector of a type and a value. Throws {@link SelectorError}. */
export function selectorOf(type: string, value: string): Selector {
  // A colon in the type would move into the value when read back.
  if (type.includes(':')) throw refusal('selector_type', type, 'has a colon in its type');
  return parseSelector(`${type}:${value}`);
}

export function selectorType(selector: Selector): string {
  return selector.slice(0, selector.indexOf(':'));
}

export function selectorValue(selector: Selector): string {
  return selector.slice(selector.indexOf(':') + 1);
}

/** Whether every wanted selector is among those held: the rule that gives a workload an entry. */
export function areSelectorsSubset(
  wanted: readonly Selector[],
  held: ReadonlySet<Selector>,
): boolean {
  return wanted.every((selector) => held.has(selector));
}

/** Sorted and without repeats, so that equal sets have one spelling. */
export function canonicalSelectors(selectors: readonly Selector[]): readonly Selector[] {
  return [...new Set(selectors)].toSorted((left, right) => (left < right ? -1 : 1));
}

function isSelector(text: string): text is Selector {
  const colon = text.indexOf(':');
  return (
    typePattern.test(text.slice(0, colon)) &&
    colon < text.length - 1 &&
    text.isWellFormed() &&
    // Control characters would forge lines in whatever prints a selector.
    !/\p{Cc}/u.test(text)
  );
}

function refusal(code: SelectorErrorCode, text: string, reason: string): SelectorError {
  return new SelectorError(code, `selector ${JSON.stringify(text)} ${reason}`);
}

const typePattern = /^[a-z0-9_-]{1,64}$/;

// A selector names a path, a hash or an image; longer than this it is not a fact but an attack.
const selectorLengthMax = 2048;
