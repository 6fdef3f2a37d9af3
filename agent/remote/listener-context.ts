/** What the listener shows of itself: the node's SVID of this moment. */

import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { pemEncode } from '../../pki/index.ts';
import { privateKeyPemBytes } from '../../sds-server/index.ts';
import type { NodeSvid } from '../node-svid.ts';

export function listenerContext({ chain, privateKey }: NodeSvid): SecureContext {
  const key = privateKeyPemBytes(privateKey);
  try {
    return createSecureContext({
      cert: chain.map(({ der }) => pemEncode('CERTIFICATE', der)).join(''),
      key,
      minVersion: 'TLSv1.3',
      // A resumed session would outlive the trust it stood on.
      secureOptions: constants.SSL_OP_NO_TICKET,
    });
  } finally {
    key.fill(0);
  }
}
