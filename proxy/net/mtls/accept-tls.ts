/** The server's half of mutual TLS on an accepted socket: not one application byte before the peer is known. */

import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { PeerPolicy } from '../../../policies/index.ts';
import { peerChainOf } from '../../../rpc/index.ts';
import { type Deadlines, type Expiring, never } from '../deadlines.ts';
import type { TlsMaterial } from './tls-material.ts';
import type { TlsSource } from './tls-source.ts';
import type { PeerOutcome } from './verify-peer.ts';

export type AcceptOutcome = PeerOutcome | { readonly kind: 'failed'; readonly detail: string };

export interface AcceptTls {
  readonly material: TlsMaterial;
  readonly source: TlsSource;
  /** Who may come in. */
  readonly policy: PeerPolicy;
  /** Application protocols offered by ALPN; empty offers none. */
  readonly protocols: readonly string[];
  readonly deadlines: Deadlines;
  /** How long a handshake may take. */
  readonly msMax: number;
}

/**
 * Calls `done` once. Unless the peer was accepted the socket is destroyed by then, so that nothing the
 * peer may have sent behind its handshake is ever read.
 */
export function acceptTls(
  socket: Socket,
  options: AcceptTls,
  done: (outcome: AcceptOutcome, secured: TLSSocket) => void,
): void {
  const secured = new TLSSocket(socket, {
    isServer: true,
    secureContext: options.material.identity.context,
    requestCert: true,
    // OpenSSL trusts nobody here; the peer is judged below, by its own trust domain's bundle.
    rejectUnauthorized: false,
    ...(options.protocols.length === 0 ? {} : { ALPNProtocols: [...options.protocols] }),
  });
  const handshake = new Handshake(options, (outcome) => {
    if (outcome.kind !== 'accepted') secured.destroy();
    done(outcome, secured);
  });
  secured.once('secure', () => {
    const { source, policy } = options;
    handshake.finish(source.verify(peerChainOf(secured), 'clientAuth', policy));
  });
  secured.on('error', (error) => handshake.fail(error.message));
  secured.once('close', () => handshake.fail('the peer closed during the handshake'));
}

/** One handshake's end, whichever of its causes comes first. */
class Handshake implements Expiring {
  deadlineMs: number;
  readonly #deadlines: Deadlines;
  #done: ((outcome: AcceptOutcome) => void) | undefined;

  constructor({ deadlines, msMax }: AcceptTls, done: (outcome: AcceptOutcome) => void) {
    this.#deadlines = deadlines;
    this.#done = done;
    this.deadlineMs = deadlines.in(msMax);
    deadlines.add(this);
  }

  finish(outcome: AcceptOutcome): void {
    const done = this.#done;
    if (done === undefined) return;
    this.#done = undefined;
    this.deadlineMs = never;
    this.#deadlines.delete(this);
    done(outcome);
  }

  fail(detail: string): void {
    this.finish({ kind: 'failed', detail });
  }

  onDeadline(): void {
    this.fail('the handshake took too long');
  }
}
