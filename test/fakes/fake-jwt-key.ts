/** A JWT authority with its private key: signs whatever a test wants to see in a token. */

import { Buffer } from 'node:buffer';
import { generateKeyPairSync, sign } from 'node:crypto';
import type { JwtAuthority } from '../../spiffe/index.ts';

export class FakeJwtKey implements JwtAuthority {
  readonly keyId: string;
  readonly publicKey;
  readonly #privateKey;

  constructor(keyId: string) {
    const pair = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    this.keyId = keyId;
    this.publicKey = pair.publicKey;
    this.#privateKey = pair.privateKey;
  }

  sign(claims: object, header: object = { alg: 'ES256', kid: this.keyId, typ: 'JWT' }): string {
    const signed = `${encode(header)}.${encode(claims)}`;
    const key = { key: this.#privateKey, dsaEncoding: 'ieee-p1363' } as const;
    return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
