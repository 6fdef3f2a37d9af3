/** What a proxy changes in a head before it forwards it, checked so that it cannot break the framing. */

import { CodedError } from '../../../core/index.ts';
import { isAuthority } from './authority.ts';
import type { Framing } from './message-framing.ts';
import { isEvery, isFieldOctet, isTargetOctet, isTokenOctet } from './octets.ts';
import { protocolsIn } from './upgrade.ts';

export type HeaderField = readonly [name: string, value: string];

export interface HeadEdits {
  /** Fields that replace every field of their name. */
  readonly set?: readonly HeaderField[];
  /** Fields put behind those that are there. */
  readonly add?: readonly HeaderField[];
  /** Names whose fields are left out. */
  readonly remove?: readonly string[];
  /** What we say about our own connection; nothing unless given or needed. */
  readonly connection?: 'close' | 'keep-alive';
  /** The protocols we offer to change to, or the one we change to (RFC 9110 §7.8). */
  readonly upgrade?: string;
}

export interface RequestHeadEdits extends HeadEdits {
  /** The target to ask for, instead of the received one in origin-form. */
  readonly target?: string;
  readonly host?: string;
}

export interface ResponseHeadEdits extends HeadEdits {
  /** How the body will be framed, if not as received; see `framingToward`. */
  readonly framing?: Framing;
}

export type Http1EncodeErrorCode =
  | 'field_name_invalid'
  | 'field_name_reserved'
  | 'field_value_invalid'
  | 'target_invalid'
  | 'host_invalid'
  | 'upgrade_invalid'
  | 'status_invalid'
  | 'framing_impossible';

/** The caller asked for bytes that would not be one well-formed message. */
export class Http1EncodeError extends CodedError<Http1EncodeErrorCode> {
  override readonly name = 'Http1EncodeError';
  override readonly kind = 'invalid_argument';
}

/** Throws {@link Http1EncodeError} unless name and value may stand in a head and are not ours to write. */
export function checkField(name: string, value: string): void {
  checkFieldName(name);
  if (!isEvery(isFieldOctet, value)) {
    throw new Http1EncodeError(
      'field_value_invalid',
      `the value of ${name} holds a control character or one above U+00FF`,
    );
  }
}

/**
 * Throws {@link Http1EncodeError} unless the name may stand in a head and is not ours to write. Returns
 * it in lower case with hyphens for underscores: what a field is called by those who pass heads on as
 * variables, to whom a forged `X_Id` would be the `X-Id` that we state.
 */
export function checkFieldName(name: string): string {
  const known = foldedNames.get(name);
  if (known !== undefined) return known;
  if (name === '' || !isEvery(isTokenOctet, name)) {
    throw new Http1EncodeError('field_name_invalid', `${JSON.stringify(name)} is no field name`);
  }
  const folded = name.toLowerCase().replaceAll('_', '-');
  if (reserved.has(folded)) {
    throw new Http1EncodeError('field_name_reserved', `${name} is written by the codec alone`, {
      remedy: 'use the edits for host, connection and framing',
    });
  }
  if (foldedNames.size < foldedNamesMax) foldedNames.set(name, folded);
  return folded;
}

export function checkTarget(target: string): void {
  if (target === '' || !isEvery(isTargetOctet, target)) {
    throw new Http1EncodeError('target_invalid', `${JSON.stringify(target)} is no request target`);
  }
}

export function checkUpgrade(offer: string): void {
  const members = offer.split(', ');
  if (protocolsIn(offer).length !== members.length) {
    throw new Http1EncodeError('upgrade_invalid', `${JSON.stringify(offer)} names no protocols`);
  }
}

export function checkHostValue(host: string): void {
  if (!isAuthority(host)) {
    throw new Http1EncodeError('host_invalid', `${JSON.stringify(host)} is no host`);
  }
}

// They say where a message ends or what the connection does, so they follow from the framing.
const reserved: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

// Names in edits come from code and config, so that the same few are asked for with every request.
const foldedNames = new Map<string, string>();
const foldedNamesMax = 256;
