/**
 * Whether the CA can do its work right now: sign, record and store. Asked by a probe, so every reason is
 * told, and an answer serves all who ask within a moment.
 */

import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, describeError, toHex, type Random, utf8Bytes } from '../../core/index.ts';
import { AuthorityError } from '../authority/authority-error.ts';
import type { Authorities } from '../authority/authorities.ts';
import type { CurrentJwtKey, RotatingJwtKeys } from '../authority/jwt-keys.ts';
import type { Issuer } from '../authority/issuer.ts';
import type { Outcomes } from './outcomes.ts';

export interface Readiness {
  readonly isReady: boolean;
  /** Why not; empty when it is. */
  readonly reasons: readonly string[];
}

export interface ReadinessDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly authorities: Pick<Authorities, 'issuer'>;
  readonly jwtKeys: Pick<RotatingJwtKeys, 'current' | 'list'>;
  readonly audit: Outcomes;
  readonly store: Outcomes;
  /** A file is written there and removed again. */
  readonly directory: string;
  /** The fault of the clock, if it has one. */
  readonly clockFault: () => Error | undefined;
}

export function createReadiness(deps: ReadinessDeps): () => Promise<Readiness> {
  const { clock } = deps;
  let asked: { readonly atMs: number; readonly answer: Promise<Readiness> } | undefined;
  return () => {
    const nowMs = clock.monotonicMs();
    if (asked === undefined || nowMs - asked.atMs >= freshMs) {
      asked = { atMs: nowMs, answer: judge(deps) };
    }
    return asked.answer;
  };
}

async function judge(deps: ReadinessDeps): Promise<Readiness> {
  const found = [
    ...(await Promise.all([signingFault(deps), jwtFault(deps), diskFault(deps)])),
    writeFault('the audit log', deps.audit),
    writeFault('the store', deps.store),
    deps.clockFault()?.message,
  ];
  const reasons = found.filter((reason) => reason !== undefined);
  return { isReady: reasons.length === 0, reasons };
}

/** Signs bytes that can never be taken for a certificate: they are no DER. */
async function signingFault(deps: ReadinessDeps): Promise<string | undefined> {
  let issuer: Issuer;
  try {
    issuer = deps.authorities.issuer();
  } catch (error) {
    if (!(error instanceof AuthorityError)) throw error;
    return error.message;
  }
  const nowMs = deps.clock.wallMs();
  if (issuer.notBeforeMs > nowMs) {
    const at = new Date(issuer.notBeforeMs).toISOString();
    return `the issuing authority ${issuer.id} begins only at ${at}: nothing is issued until it is replaced`;
  }
  const leftMs = issuer.notAfterMs - nowMs;
  if (leftMs < (issuer.notAfterMs - issuer.notBeforeMs) * lifeShareMin) {
    const end = new Date(issuer.notAfterMs).toISOString();
    return `the issuing authority ${issuer.id} ends at ${end} and has not been replaced`;
  }
  try {
    await issuer.signer.sign(utf8Bytes(`not a certificate ${toHex(deps.random.bytes(16))}`));
    return undefined;
  } catch (error) {
    return `the key of ${issuer.id} does not sign: ${describeError(error)}`;
  }
}

/**
 * While another key waits for the nodes to have it, there is none that signs and nothing is wrong: a CA that
 * was taken out of service for it would never hear of them.
 */
async function jwtFault({ jwtKeys, random }: ReadinessDeps): Promise<string | undefined> {
  const waits = jwtKeys.list().some(({ state }) => state === 'prepared' || state === 'published');
  let key: CurrentJwtKey;
  try {
    key = jwtKeys.current();
  } catch (error) {
    if (!(error instanceof AuthorityError)) throw error;
    return waits ? undefined : error.message;
  }
  try {
    await key.signer.sign(utf8Bytes(`not a token ${toHex(random.bytes(16))}`));
    return undefined;
  } catch (error) {
    return `JWT key ${key.kid} does not sign: ${describeError(error)}`;
  }
}

/** A full disk, a read-only one and one without descriptors all show when a byte must become durable. */
async function diskFault({ directory, random }: ReadinessDeps): Promise<string | undefined> {
  const path = join(directory, `.ready-${toHex(random.bytes(6))}`);
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'wx', 0o600);
    await file.write('ready');
    await file.sync();
    return undefined;
  } catch (error) {
    return `${directory} cannot be written: ${describeError(error)}`;
  } finally {
    await file?.close();
    if (file !== undefined) await unlink(path);
  }
}

function writeFault(what: string, outcomes: Outcomes): string | undefined {
  const failure = outcomes.recentFailure();
  return failure === undefined ? undefined : `${what} failed just now: ${describeError(failure)}`;
}

// Probes come every few seconds, from several sides; each costs a signature and a sync of the disk.
const freshMs = 1000;
// It is replaced at half its life, so by then something has gone wrong for a while.
const lifeShareMin = 0.25;
