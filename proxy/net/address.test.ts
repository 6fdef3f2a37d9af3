import { describe, expect, test } from 'vitest';
import { AddressRanges, parseAddressRange } from './address-ranges.ts';
import { ipBytes, ipText, isSameAddress, plainHost, sourceKey } from './address.ts';
import { ConnectionCount, SourceCounts } from './connection-limits.ts';

describe('an IP address', () => {
  test.for([
    ['10.0.0.1', '0a000001'],
    ['::', '00000000000000000000000000000000'],
    ['::1', '00000000000000000000000000000001'],
    ['1::', '00010000000000000000000000000000'],
    ['2001:db8::a:b', '20010db80000000000000000000a000b'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['::ffff:10.0.0.1', '00000000000000000000ffff0a000001'],
    ['fe80::1%eth0', 'fe800000000000000000000000000001'],
  ] as const)('%s has the bytes %s', ([text, hex]) => {
    expect(ipBytes(text)?.toString('hex')).toBe(hex);
  });

  test.for(['', 'localhost', '10.0.0', '10.0.0.256', '1::2::3', ':::', '/run/x.sock'])(
    '%j is none',
    (text) => {
      expect(ipBytes(text)).toBe(undefined);
    },
  );

  test('is the same however it is written, and another with another port', () => {
    const at = (host: string, port = 80) => ({ host, port });
    expect(isSameAddress(at('fd99::9'), at('fd99:0:0:0:0:0:0:9'))).toBe(true);
    expect(isSameAddress(at('::ffff:10.0.0.1'), at('10.0.0.1'))).toBe(true);
    expect(isSameAddress(at('10.0.0.1'), at('10.0.0.2'))).toBe(false);
    expect(isSameAddress(at('10.0.0.1'), at('10.0.0.1', 81))).toBe(false);
    expect(isSameAddress(at(''), at(''))).toBe(true);
  });

  test('is shown as IPv4 where it is one', () => {
    expect(plainHost('::ffff:10.0.0.1')).toBe('10.0.0.1');
    expect(plainHost('::1')).toBe('::1');
    expect(ipText(Buffer.from('00000000000000000000ffff0a000001', 'hex'))).toBe('10.0.0.1');
  });
});

describe('ranges', () => {
  test('hold what is inside, of both families', () => {
    const ranges = new AddressRanges(['10.0.0.0/8', '192.0.2.7', 'fd00::/8']);
    for (const host of ['10.255.0.1', '192.0.2.7', 'fd12::1']) expect(ranges.has(host)).toBe(true);
    for (const host of ['11.0.0.1', '192.0.2.8', 'fe80::1', '', 'localhost']) {
      expect(ranges.has(host)).toBe(false);
    }
  });

  test.for(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0.0/-1', 'fd00::/129', 'all', ''])(
    '%j is none',
    (text) => {
      expect(parseAddressRange(text)).toBe(undefined);
      expect(() => new AddressRanges([text])).toThrow(RangeError);
    },
  );
});

describe('limits', () => {
  test('a source is one IPv4 address, or the /64 of an IPv6 one', () => {
    expect(sourceKey('10.0.0.1')).not.toBe(sourceKey('10.0.0.2'));
    expect(sourceKey('2001:db8:0:1::1')).toBe(sourceKey('2001:db8:0:1:ffff::2'));
    expect(sourceKey('2001:db8:0:1::1')).not.toBe(sourceKey('2001:db8:0:2::1'));
  });

  test('a source has its fill, and again a place once one of its connections is gone', () => {
    const sources = new SourceCounts(2);
    expect([1, 2, 3].map(() => sources.add('10.0.0.1'))).toEqual([true, true, false]);
    expect(sources.add('10.0.0.2')).toBe(true);
    sources.remove('10.0.0.1');
    expect(sources.add('10.0.0.1')).toBe(true);
  });

  test('a count is full at its bound', () => {
    const count = new ConnectionCount(1);
    expect(count.isFull).toBe(false);
    count.add();
    expect(count.isFull).toBe(true);
    count.remove();
    expect(count.isFull).toBe(false);
  });
});
