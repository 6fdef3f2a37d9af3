/**
 * Signed notes: a text, a blank line, and signatures by named Ed25519 keys, in the form that
 * transparency logs share (C2SP signed-note), so that other people's tools can check ours.
 */

import { createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto';
import {
  concatBytes,
  equalBytes,
  fromBase64,
  fromHex,
  toBase64,
  toHex,
  utf8Bytes,
} from '../../core/index.ts';

/** A key that can check notes, and the name it signs under. */
export interface NoteVerifier {
  readonly name: string;
  readonly publicKey: KeyObject;
}

export type NoteVerdict =
  | { readonly kind: 'signed'; readonly text: string }
  | { readonly kind: 'refused'; readonly code: NoteRefusal };

export type NoteRefusal = 'note_malformed' | 'note_unsigned' | 'note_signature';

/** Signs `text`, which must end in a newline, with an Ed25519 key under `name`. */
export function signNote(text: string, name: string, privateKey: KeyObject): string {
  const publicKey = createPublicKey(privateKey);
  const signature = sign(null, utf8Bytes(text), privateKey);
  const stamp = toBase64(concatBytes(keyHashOf(name, publicKey), signature));
  return `${text}\n${signaturePrefix}${name} ${stamp}\n`;
}

/** The text, if `verifier` signed it. Signatures by other keys are passed over, as the form demands. */
export function openNote(note: string, verifier: NoteVerifier): NoteVerdict {
  const parts = splitNote(note);
  if (parts === undefined) return { kind: 'refused', code: 'note_malformed' };
  const wanted = keyHashOf(verifier.name, verifier.publicKey);
  for (const line of parts.signatures) {
    if (line.name !== verifier.name || !equalBytes(line.keyHash, wanted)) continue;
    return verify(null, utf8Bytes(parts.text), verifier.publicKey, line.signature)
      ? { kind: 'signed', text: parts.text }
      : { kind: 'refused', code: 'note_signature' };
  }
  return { kind: 'refused', code: 'note_unsigned' };
}

/** `name+keyhash+key`, the form in which a verifier's key is handed round. */
export function formatVerifierKey(verifier: NoteVerifier): string {
  const { name, publicKey } = verifier;
  const key = concatBytes(ed25519Type, rawPublicKey(publicKey));
  return `${name}+${toHex(keyHashOf(name, publicKey))}+${toBase64(key)}`;
}

/** The verifier of a key text, or undefined if it is not one. */
export function parseVerifierKey(text: string): NoteVerifier | undefined {
  const match = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text);
  if (match === null) return undefined;
  const [, name = '', keyHashText = '', keyText = ''] = match;
  const key = fromBase64(keyText);
  const keyHash = fromHex(keyHashText);
  if (!isNoteName(name) || key?.length !== 1 + publicKeyBytes || keyHash === undefined) {
    return undefined;
  }
  if (key[0] !== ed25519Type[0]) return undefined;
  const publicKey = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(key.subarray(1)).toString('base64url') },
    format: 'jwk',
  });
  return equalBytes(keyHash, keyHashOf(name, publicKey)) ? { name, publicKey } : undefined;
}

/** Whether a key may have this name: not empty, no space, no plus sign. */
export function isNoteName(name: string): boolean {
  return name !== '' && name.isWellFormed() && !/[\s+\p{Cc}]/u.test(name);
}

interface NoteParts {
  readonly text: string;
  readonly signatures: readonly {
    readonly name: string;
    readonly keyHash: Uint8Array;
    readonly signature: Uint8Array;
  }[];
}

function splitNote(note: string): NoteParts | undefined {
  if (note.length > noteLengthMax) return undefined;
  // The text may hold blank lines of its own: the last one divides.
  const divide = note.lastIndexOf('\n\n');
  if (divide === -1 || !note.endsWith('\n')) return undefined;
  const text = note.slice(0, divide + 1);
  const lines = note.slice(divide + 2, -1).split('\n');
  const signatures = lines.map((line) => {
    const match = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/=]+)$/u.exec(line);
    const stamp = fromBase64(match?.[2] ?? '');
    if (match === null || stamp === undefined || stamp.length <= keyHashBytes) return undefined;
    return {
      name: match[1] ?? '',
      keyHash: stamp.subarray(0, keyHashBytes),
      signature: stamp.subarray(keyHashBytes),
    };
  });
  const whole = signatures.filter((signature) => signature !== undefined);
  return whole.length === lines.length ? { text, signatures: whole } : undefined;
}

/** C2SP signed-note: the first four bytes of SHA-256(name || LF || type || key). */
function keyHashOf(name: string, publicKey: KeyObject): Uint8Array {
  const input = concatBytes(utf8Bytes(`${name}\n`), ed25519Type, rawPublicKey(publicKey));
  return hash('sha256', input, 'buffer').subarray(0, keyHashBytes);
}

function rawPublicKey(publicKey: KeyObject): Uint8Array {
  const { crv, x } = publicKey.export({ format: 'jwk' });
  if (crv !== 'Ed25519' || x === undefined) throw new TypeError('a note key is an Ed25519 key');
  return new Uint8Array(Buffer.from(x, 'base64url'));
}

const signaturePrefix = '\u2014 ';
const ed25519Type = new Uint8Array([0x01]);
const publicKeyBytes = 32;
const keyHashBytes = 4;
// A checkpoint is a few lines; anything near this is not one.
const noteLengthMax = 64 * 1024;
