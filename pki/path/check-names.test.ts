import { expect, test } from 'vitest';
import { utf8Bytes } from '../../core/index.ts';
import vectors from '../../test/vectors/x509/name-constraints.json' with { type: 'json' };
import { extension } from '../../test/fakes/build-certificate.ts';
import {
  buildAuthority,
  buildLeaf,
  certs,
  codeOf,
  extendedKeyUsage,
  keyUsage,
  subjectAltName,
} from '../../test/fakes/build-path.ts';
import { encodeElement, encodeSequence } from '../der/encode.ts';
import { encodeName, type NameAttributes } from '../name.ts';

interface Subtree {
  readonly kind: string;
  /** Text, or the hexadecimal of an address range or of a whole GeneralName, or a name. */
  readonly base: string | NameAttributes;
}

interface NameVector {
  readonly name: string;
  readonly input: {
    readonly permitted: readonly Subtree[];
    readonly excluded: readonly Subtree[];
    readonly names: {
      readonly uris?: readonly string[];
      readonly dnsNames?: readonly string[];
      readonly emails?: readonly string[];
      readonly ipAddresses?: readonly string[];
      readonly others?: readonly string[];
    };
    readonly subject?: NameAttributes & { readonly email?: string };
  };
  readonly expected: string;
}

test.for(vectors as readonly NameVector[])('$name', ({ input, expected }) => {
  const { permitted, excluded, names, subject = {} } = input;
  const root = buildAuthority({ name: 'root' }, { more: [nameConstraints(permitted, excluded)] });
  const { ipAddresses = [], others = [], ...texts } = names;
  const presented = { ...texts, ipAddresses: ipAddresses.map(hex), others: others.map(hex) };
  const leaf = buildLeaf({
    name: 'leaf',
    issuer: root,
    subject: subject.email === undefined ? encodeName(subject) : mailSubject(subject.email),
    extensions: [
      keyUsage('digitalSignature'),
      extendedKeyUsage('serverAuth'),
      ...(Object.keys(names).length === 0 ? [] : [subjectAltName(presented)]),
    ],
  });
  expect(codeOf({ chain: certs(leaf), anchors: certs(root) })).toBe(expected);
});

test('constraints reach past an authority, bind its own names, and exempt it when self-issued', () => {
  const permitted = nameConstraints([{ kind: 'uri', base: 'mesh.test' }], []);
  const root = buildAuthority({ name: 'root' }, { more: [permitted] });
  const chainOver = (name: string, uriName: string): string => {
    const middle = buildAuthority(
      { name, issuer: root },
      { more: [subjectAltName({ uris: [uriName] })] },
    );
    const leaf = buildLeaf({ name: 'leaf', issuer: middle });
    return codeOf({ chain: certs(leaf, middle), anchors: certs(root) });
  };
  expect(chainOver('middle', 'spiffe://mesh.test')).toBe('valid');
  expect(chainOver('middle', 'spiffe://evil.test')).toBe('name_constraint');
  expect(chainOver('root', 'spiffe://evil.test')).toBe('valid');
  // RFC 5280 §6.1.3 (b): the exemption does not reach the last certificate of the path.
  const ownName = buildLeaf({
    name: 'root',
    issuer: root,
    extensions: [keyUsage('digitalSignature'), subjectAltName({ uris: ['spiffe://evil.test/a'] })],
  });
  expect(codeOf({ chain: certs(ownName), anchors: certs(root) })).toBe('name_constraint');
  const evilLeaf = buildLeaf({
    name: 'leaf',
    issuer: root,
    extensions: [keyUsage('digitalSignature'), subjectAltName({ uris: ['spiffe://evil.test/a'] })],
  });
  expect(codeOf({ chain: certs(evilLeaf), anchors: certs(root) })).toBe('name_constraint');
});

function nameConstraints(permitted: readonly Subtree[], excluded: readonly Subtree[]): Uint8Array {
  const list = (identifier: number, subtrees: readonly Subtree[]): Uint8Array[] =>
    subtrees.length === 0
      ? []
      : [
          encodeElement(
            identifier,
            ...subtrees.map((subtree) => encodeSequence(encodeBase(subtree))),
          ),
        ];
  return extension(
    '2.5.29.30',
    true,
    encodeSequence(...list(0xa0, permitted), ...list(0xa1, excluded)),
  );
}

function encodeBase({ kind, base }: Subtree): Uint8Array {
  if (typeof base !== 'string') return encodeElement(0xa4, encodeName(base));
  if (kind === 'other') return hex(base);
  if (kind === 'ip') return encodeElement(0x87, hex(base));
  const tags: Readonly<Record<string, number>> = { uri: 0x86, dns: 0x82, email: 0x81 };
  return encodeElement(tags[kind] ?? 0, utf8Bytes(base));
}

function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

function mailSubject(address: string): Uint8Array {
  const oid = Uint8Array.of(6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1);
  const text = encodeElement(0x16, utf8Bytes(address));
  return encodeSequence(encodeElement(0x31, encodeSequence(oid, text)));
}
