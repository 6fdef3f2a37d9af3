import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { toHex } from '../core/index.ts';
import { makeTestPki, type TestPki } from '../test/fakes/test-pki.ts';
import { type Crl, parseCrl, type RevokedCertificate } from './crl.ts';
import { CrlError, type CrlErrorCode } from './crl-error.ts';
import { crlReasons } from './crl-reason.ts';
import {
  encodeElement,
  encodeExplicit,
  encodeInteger,
  encodeNull,
  encodeSequence,
} from './der/encode.ts';
import { tag } from './der/tag.ts';
import { encodeTime } from './der/time.ts';
import { encodeExtension } from './extensions/extension.ts';
import { encodeAuthorityKeyId } from './extensions/key-identifiers.ts';
import { issueCrl, whyNotIssuedBy } from './issue-crl.ts';
import { assembleCertificate } from './issue-certificate.ts';
import { algorithmIdentifier } from './signature-algorithm.ts';

const nowMs = Date.UTC(2026, 10, 22, 12);
let pki: TestPki;

beforeAll(async () => {
  pki = await makeTestPki({ nowMs });
});

function keyId(): Uint8Array {
  return pki.issuing.certificate.extensions.subjectKeyId ?? new Uint8Array();
}

function issue(revoked: readonly RevokedCertificate[], number = 1n): Promise<Uint8Array> {
  return issueCrl(
    {
      issuer: pki.issuing.certificate.subject,
      issuerKeyId: keyId(),
      number,
      thisUpdateMs: nowMs,
      nextUpdateMs: nowMs + 3_600_000,
      revoked,
    },
    pki.issuing.signer,
  );
}

const revokedCertificate = fc.record({
  serial: fc
    .tuple(fc.integer({ min: 1, max: 255 }), fc.uint8Array({ maxLength: 18 }))
    .map(([first, rest]) => toHex(Uint8Array.of(first, ...rest))),
  revokedAtMs: fc.integer({ min: 0, max: 4_000_000_000 }).map((seconds) => seconds * 1000),
  reason: fc.constantFrom(...crlReasons),
});

describe('a list that was written is read back', () => {
  test('whatever it holds', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(revokedCertificate, { selector: ({ serial }) => serial, maxLength: 40 }),
        fc.bigInt({ min: 0n, max: 2n ** 159n - 1n }),
        async (revoked, number) => {
          const crl = parseCrl(await issue(revoked, number));
          expect([...crl.revoked.values()]).toEqual(revoked);
          expect(crl.number).toBe(number);
          expect(crl).toMatchObject({ thisUpdateMs: nowMs, nextUpdateMs: nowMs + 3_600_000 });
          expect(whyNotIssuedBy(crl, pki.issuing.certificate)).toBeUndefined();
        },
      ),
      { numRuns: 40 },
    );
  });

  test('a thousand certificates take more than a certificate ever would', async () => {
    const revoked = Array.from({ length: 2000 }, (_, index) => ({
      serial: toHex(Uint8Array.of(1, index >> 8, index & 255, ...new Uint8Array(14))),
      revokedAtMs: nowMs,
      reason: 'superseded' as const,
    }));
    const der = await issue(revoked);
    expect(der.length).toBeGreaterThan(64 * 1024);
    expect(parseCrl(der).revoked.size).toBe(2000);
  });
});

test('changed bytes are refused, or are no longer signed', async () => {
  const der = await issue([{ serial: '01ab', revokedAtMs: nowMs, reason: 'keyCompromise' }]);
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const changed = new Uint8Array(der);
      changed[at] = (changed[at] ?? 0) ^ change;
      const crl = attempt(changed);
      return crl === undefined || whyNotIssuedBy(crl, pki.issuing.certificate) !== undefined;
    }),
  );
});

test('any bytes are read or refused, and nothing else happens', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => attempt(bytes) === undefined),
  );
});

function attempt(bytes: Uint8Array): Crl | undefined {
  try {
    return parseCrl(bytes);
  } catch (error) {
    if (error instanceof CrlError) return undefined;
    throw error;
  }
}

describe('a list is not its issuer’s', () => {
  test('when another authority is asked', async () => {
    const crl = parseCrl(await issue([]));
    expect(whyNotIssuedBy(crl, pki.root.certificate)).toMatch(/another issuer/);
    const other = await makeTestPki({ nowMs });
    const claimed = parseCrl(await claimOf(other));
    expect(whyNotIssuedBy(claimed, pki.issuing.certificate)).toMatch(/signature/);
  });

  test('when a leaf signed it', async () => {
    const leaf = await pki.issueLeaf({ id: '/web' });
    const crl = parseCrl(await issue([]));
    expect(whyNotIssuedBy({ ...crl, issuer: leaf.certificate.subject }, leaf.certificate)).toMatch(
      /another key/,
    );
  });
});

/** Our names and key id under another key's signature. */
function claimOf(other: TestPki): Promise<Uint8Array> {
  return issueCrl(
    {
      issuer: pki.issuing.certificate.subject,
      issuerKeyId: keyId(),
      number: 1n,
      thisUpdateMs: nowMs,
      nextUpdateMs: nowMs,
      revoked: [],
    },
    other.issuing.signer,
  );
}

describe('strict reading', () => {
  const akiOid = '2.5.29.35';
  const numberOid = '2.5.29.20';
  const reasonOid = '2.5.29.21';
  const entry = (...extensions: Uint8Array[]): Uint8Array =>
    encodeSequence(
      encodeInteger(5),
      encodeTime(nowMs),
      ...(extensions.length === 0 ? [] : [encodeSequence(...extensions)]),
    );
  const enumerated = (code: number): Uint8Array =>
    encodeElement(tag.enumerated, Uint8Array.of(code));

  interface Parts {
    readonly version?: readonly Uint8Array[];
    readonly times?: readonly Uint8Array[];
    readonly revoked?: readonly Uint8Array[];
    readonly extensions?: readonly Uint8Array[];
    readonly after?: Uint8Array;
    readonly outer?: 'ecdsa-sha384';
  }

  function build(parts: Parts): Uint8Array {
    const algorithm = 'ecdsa-sha256';
    const aki = encodeExtension(akiOid, false, encodeAuthorityKeyId(keyId()));
    const number = encodeExtension(numberOid, false, encodeInteger(1));
    const tbs = encodeSequence(
      ...(parts.version ?? [encodeInteger(1)]),
      algorithmIdentifier(algorithm),
      pki.issuing.certificate.subject,
      ...(parts.times ?? [encodeTime(nowMs), encodeTime(nowMs + 1000)]),
      ...(parts.revoked ?? []),
      encodeExplicit(0, encodeSequence(...(parts.extensions ?? [aki, number]))),
      ...(parts.after === undefined ? [] : [parts.after]),
    );
    return assembleCertificate(tbs, parts.outer ?? algorithm, new Uint8Array(70));
  }

  test('the twin of all refusals is accepted', () => {
    const reason = encodeExtension(reasonOid, false, enumerated(1));
    const crl = parseCrl(build({ revoked: [encodeSequence(entry(reason))] }));
    expect(crl.revoked.get('05')?.reason).toBe('keyCompromise');
    expect(parseCrl(build({})).revoked.size).toBe(0);
  });

  const aki = (): Uint8Array => encodeExtension(akiOid, false, encodeAuthorityKeyId(keyId()));
  const number = encodeExtension(numberOid, false, encodeInteger(1));
  test.for<readonly [string, CrlErrorCode, () => Parts]>([
    ['version 1', 'crl_version', () => ({ version: [] })],
    ['version 3', 'crl_version', () => ({ version: [encodeInteger(2)] })],
    ['no next update', 'crl_malformed', () => ({ times: [encodeTime(nowMs)] })],
    [
      'an end before the beginning',
      'crl_validity',
      () => ({ times: [encodeTime(nowMs), encodeTime(nowMs - 1000)] }),
    ],
    ['another algorithm outside', 'crl_algorithm', () => ({ outer: 'ecdsa-sha384' })],
    ['an empty list of certificates', 'crl_entry', () => ({ revoked: [encodeSequence()] })],
    ['a serial twice', 'crl_entry', () => ({ revoked: [encodeSequence(entry(), entry())] })],
    [
      'a reason that only delta lists have',
      'crl_entry',
      () => ({
        revoked: [encodeSequence(entry(encodeExtension(reasonOid, false, enumerated(8))))],
      }),
    ],
    [
      'a critical extension of an entry',
      'crl_extension',
      () => ({
        revoked: [encodeSequence(entry(encodeExtension('2.5.29.29', true, encodeNull())))],
      }),
    ],
    ['no number', 'crl_extension', () => ({ extensions: [aki()] })],
    ['no authority key identifier', 'crl_extension', () => ({ extensions: [number] })],
    ['an extension twice', 'crl_extension', () => ({ extensions: [aki(), number, number] })],
    [
      'a critical extension: a delta, or part of a whole',
      'crl_extension',
      () => ({ extensions: [aki(), number, encodeExtension('2.5.29.27', true, encodeInteger(1))] }),
    ],
    [
      'a negative number',
      'crl_extension',
      () => ({
        extensions: [
          aki(),
          encodeExtension(numberOid, false, encodeElement(tag.integer, Uint8Array.of(0x80))),
        ],
      }),
    ],
    ['something after the extensions', 'crl_malformed', () => ({ after: encodeNull() })],
  ])('%s is refused', ([, code, parts]) => {
    expect(() => parseCrl(build(parts()))).toThrow(expect.objectContaining({ code }));
  });

  test('bytes that follow are refused', async () => {
    const der = await issue([]);
    expect(() => parseCrl(Uint8Array.of(...der, 0))).toThrow(CrlError);
  });
});
