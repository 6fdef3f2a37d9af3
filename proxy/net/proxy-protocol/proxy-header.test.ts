import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../core/index.ts';
import { decodeProxyHeader } from './decode-proxy-header.ts';
import { encodeProxyHeader } from './encode-proxy-header.ts';

interface Vector {
  readonly name: string;
  readonly origin: string;
  /** Hexadecimal. */
  readonly input: string;
  readonly expected: ReturnType<typeof decodeProxyHeader>;
}

const vectors = JSON.parse(
  readFileSync(
    new URL('../../../test/vectors/proxy-protocol/headers.json', import.meta.url),
    'utf8',
  ),
) as readonly Vector[];

describe('reading', () => {
  test.for(vectors)('$name ($origin)', ({ input, expected }) => {
    const bytes = Buffer.from(input, 'hex');
    expect(decodeProxyHeader(bytes)).toEqual(expected);
    // However little has come, the answer is never another one, only an earlier or a later one.
    for (let length = 0; length < bytes.length; length += 1) {
      const early = decodeProxyHeader(bytes.subarray(0, length));
      if (early.kind !== 'need_more') expect(early).toEqual(expected);
    }
  });

  test('whatever is changed in a header, nothing is thrown', () => {
    const random = seededRandom(11);
    for (let round = 0; round < 20_000; round += 1) {
      const bytes = Buffer.from(vectors[round % vectors.length]?.input ?? '', 'hex');
      if (bytes.length === 0) continue;
      const [at = 0, value = 0] = random.bytes(2);
      bytes[at % bytes.length] = value;
      expect(['need_more', 'header', 'bad']).toContain(decodeProxyHeader(bytes).kind);
    }
  });
});

describe('what is written is read back', () => {
  const endpoints = (source: string, destination: string) => ({
    source: { host: source, port: 56_324 },
    destination: { host: destination, port: 443 },
  });
  const cases = [
    ['10.0.0.1', '10.0.0.2', '10.0.0.1', '10.0.0.2'],
    ['2001:db8::1', '::1', '2001:db8:0:0:0:0:0:1', '0:0:0:0:0:0:0:1'],
    ['fe80::1%eth0', '::1', 'fe80:0:0:0:0:0:0:1', '0:0:0:0:0:0:0:1'],
    ['::ffff:10.0.0.1', '10.0.0.2', '10.0.0.1', '10.0.0.2'],
  ] as const;
  test.for(cases)('from %s to %s', ([source, destination, readSource, readDestination]) => {
    for (const version of ['v1', 'v2'] as const) {
      const bytes = encodeProxyHeader(version, endpoints(source, destination));
      expect(decodeProxyHeader(bytes)).toEqual({
        kind: 'header',
        header: { kind: 'proxied', endpoints: endpoints(readSource, readDestination) },
        length: bytes.length,
      });
    }
  });

  test('from an IPv4 address to an IPv6 one, in the form of IPv6', () => {
    const mixed = endpoints('10.0.0.1', '2001:db8::2');
    expect(encodeProxyHeader('v1', mixed).toString('latin1')).toBe(
      'PROXY TCP6 0:0:0:0:0:ffff:a00:1 2001:db8:0:0:0:0:0:2 56324 443\r\n',
    );
    expect(decodeProxyHeader(encodeProxyHeader('v2', mixed))).toMatchObject({
      header: { endpoints: endpoints('10.0.0.1', '2001:db8:0:0:0:0:0:2') },
    });
  });

  test('from a Unix socket, as unknown', () => {
    for (const version of ['v1', 'v2'] as const) {
      const bytes = encodeProxyHeader(version, endpoints('', '10.0.0.2'));
      expect(decodeProxyHeader(bytes)).toEqual({
        kind: 'header',
        header: { kind: 'local' },
        length: bytes.length,
      });
    }
  });
});
