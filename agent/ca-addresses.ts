/** The addresses of the CA, of which one is in use: the next one's turn comes when it fails. */

import type { CaAddress } from './ca-client.ts';

export interface CaAddresses {
  current(): CaAddress;
  /** The one in use has failed: all others come before it is tried again. */
  next(): void;
}

/** A fleet should not begin at one replica: `start`, in [0, 1), says where this agent does. */
export function createCaAddresses(addresses: readonly CaAddress[], start: number): CaAddresses {
  let index = Math.floor(start * addresses.length);
  return {
    current() {
      const address = addresses[index];
      if (address === undefined) throw new RangeError('a CA has at least one address');
      return address;
    },
    next() {
      index = (index + 1) % addresses.length;
    },
  };
}
