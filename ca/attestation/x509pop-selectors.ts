/** What a certificate proves of its node, as selectors. */

import { hash } from 'node:crypto';
import { type Certificate, commonNamesOf } from '../../pki/index.ts';
import { canonicalSelectors, type Selector, selectorOf } from '../registry/selector.ts';

/**
 * `x509pop:subject:cn:…`, `x509pop:san:dns:…`, `x509pop:serial:…`, and `x509pop:ca:fingerprint:…` for
 * every authority above the leaf. Throws SelectorError for a name that no selector can hold.
 */
export function x509popSelectors(path: readonly Certificate[]): readonly Selector[] {
  const [leaf, ...authorities] = path;
  if (leaf === undefined) return [];
  const facts = [
    ...commonNamesOf(leaf.subject).map((name) => `subject:cn:${name}`),
    ...(leaf.extensions.subjectAltName?.dnsNames ?? []).map((name) => `san:dns:${name}`),
    `serial:${leaf.serial}`,
    ...authorities.map(({ der }) => `ca:fingerprint:${hash('sha256', der, 'hex')}`),
  ];
  return canonicalSelectors(facts.map((fact) => selectorOf('x509pop', fact)));
}
