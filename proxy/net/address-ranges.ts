/** Sets of IP addresses, written as addresses or as CIDR ranges. */

import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** Undefined if `text` is neither an IP address nor a range such as `10.0.0.0/8`. */
export function parseAddressRange(text: string): { address: string; bits: number } | undefined {
  const [address = '', length, more] = text.split('/');
  const bitsMax = isIPv4(address) ? 32 : 128;
  if (!isIPv4(address) && !isIPv6(address)) return undefined;
  if (length === undefined) return { address, bits: bitsMax };
  const bits = Number(length);
  if (more !== undefined || !/^\d{1,3}$/.test(length) || bits > bitsMax) return undefined;
  return { address, bits };
}

export class AddressRanges {
  readonly #list = new BlockList();

  /** Throws RangeError for what {@link parseAddressRange} does not read. */
  constructor(texts: readonly string[]) {
    for (const text of texts) {
      const range = parseAddressRange(text);
      if (range === undefined) throw new RangeError(`${text} is no address range`);
      this.#list.addSubnet(range.address, range.bits, familyOf(range.address));
    }
  }

  /** A host that is no IP address, such as that of a Unix socket, is in no range. */
  has(host: string): boolean {
    return (isIPv4(host) || isIPv6(host)) && this.#list.check(host, familyOf(host));
  }
}

function familyOf(host: string): 'ipv4' | 'ipv6' {
  return isIPv4(host) ? 'ipv4' : 'ipv6';
}
