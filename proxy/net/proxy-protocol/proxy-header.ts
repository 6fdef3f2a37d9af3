/** The PROXY protocol's header (haproxy, doc/proxy-protocol.txt): who really connects, told by whoever stands before us. */

import { Buffer } from 'node:buffer';
import type { Endpoints } from '../address.ts';

export type ProxyHeader =
  /** Bytes of this client were accepted at this destination. */
  | { readonly kind: 'proxied'; readonly endpoints: Endpoints }
  /** The sender speaks for itself (§2.2, LOCAL), or does not say for whom: the socket's own addresses hold. */
  | { readonly kind: 'local' };

/** §2.2: twelve bytes that no other protocol begins with. */
export const signature2 = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

export const commandLocal = 0x20;
export const commandProxy = 0x21;
/** TCP over IPv4 and over IPv6: the families we have endpoints of. */
export const familyTcp4 = 0x11;
export const familyTcp6 = 0x21;
