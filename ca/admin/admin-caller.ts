/**
 * Who makes an admin call, and what they were given: on the Unix socket the kernel says so, over mutual
 * TLS the verified certificate does, judged anew at every request because trust may have moved on.
 */

import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { AdminError } from '../../api/index.ts';
import type { Clock, Watch } from '../../core/index.ts';
import { type Certificate, CertificateError, parseCertificate } from '../../pki/index.ts';
import { peerChainOf, readPeerCredentials } from '../../rpc/index.ts';
import { type SpiffeId, type SvidVerdict, verifyX509Svid } from '../../spiffe/index.ts';
import type { Actor } from '../audit/event.ts';
import type { Trust } from '../authority/trust.ts';
import { type Grant, grantsOf, holdsRole, type RoleRule } from './admin-roles.ts';

export interface AdminCaller {
  readonly actor: Actor;
  readonly grants: readonly Grant[];
  /** Whether this caller may hand out that identity: one that has a role is an admin's to give. */
  readonly mayGive: (spiffeId: string) => boolean;
  /** Whether that is so for every identity. */
  readonly mayGiveAll: boolean;
}

export interface AdminCallersDeps {
  readonly clock: Clock;
  readonly trust: Watch<Trust>;
  readonly roles: readonly RoleRule[];
  readonly isRevoked: (serial: string) => boolean;
  /** Whether the leaf was issued by an entry in force that has the admin flag. */
  readonly isOfAdminEntry: (serial: string, id: SpiffeId) => boolean;
  /** Whether an entry with the admin flag names the ID. */
  readonly isAdministrator: (id: string) => boolean;
  /** The user that the CA runs as: it and root are administrators on the Unix socket. */
  readonly uid: number | undefined;
}

export class AdminCallers {
  readonly #deps: AdminCallersDeps;
  // Credentials are those of the moment of connecting, and gone with the descriptor.
  readonly #local = new WeakMap<Socket, AdminCaller>();
  readonly #chains = new WeakMap<Socket, readonly Certificate[]>();

  constructor(deps: AdminCallersDeps) {
    this.#deps = deps;
  }

  /** Why a TLS peer may not even connect, or undefined. */
  admit(socket: TLSSocket): string | undefined {
    const chainDer = peerChainOf(socket);
    if (chainDer.length === 0) return 'it presents no certificate';
    try {
      this.#chains.set(socket, chainDer.map(parseCertificate));
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error;
      return error.message;
    }
    const verdict = this.#judge(socket);
    return verdict.kind === 'valid' ? undefined : verdict.detail;
  }

  /** Throws {@link AdminError} `unauthenticated`, or PeerCredentialsError if the kernel does not say. */
  of(socket: Socket): AdminCaller {
    if (!(socket instanceof TLSSocket)) return this.#localCaller(socket);
    const verdict = this.#judge(socket);
    if (verdict.kind === 'refused') {
      throw new AdminError(
        'unauthenticated',
        'svid_refused',
        `the certificate of this connection is not accepted any more: ${verdict.detail}`,
        'connect again with the renewed one',
      );
    }
    const address = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    const { roles, isAdministrator } = this.#deps;
    const grants = [...grantsOf(roles, verdict.id), ...this.#entryGrants(socket, verdict.id)];
    const isAdmin = grants.some(({ role, paths }) => role === 'admin' && paths === undefined);
    return {
      actor: { kind: 'admin', id: verdict.id, address },
      grants,
      mayGive: (spiffeId) => isAdmin || !(holdsRole(roles, spiffeId) || isAdministrator(spiffeId)),
      mayGiveAll: isAdmin,
    };
  }

  /**
   * The flag is the entry's, and the certificate must be of that entry: the same ID may also come from an entry
   * without it, or from a rule that takes an agent's word for who its workloads are.
   */
  #entryGrants(socket: Socket, id: SpiffeId): readonly Grant[] {
    const [leaf] = this.#chains.get(socket) ?? [];
    if (leaf === undefined || !this.#deps.isOfAdminEntry(leaf.serial, id)) return [];
    return [{ role: 'admin' }];
  }

  #localCaller(socket: Socket): AdminCaller {
    const known = this.#local.get(socket);
    if (known !== undefined) return known;
    const { uid, pid } = readPeerCredentials(socket);
    // The socket's mode says the same; this holds if somebody changes the mode.
    const isOwner = uid === 0 || uid === this.#deps.uid;
    const caller: AdminCaller = {
      actor: { kind: 'admin', id: `uid:${uid} pid:${pid}`, uid, pid },
      grants: isOwner ? [{ role: 'admin' }] : [],
      mayGive: () => isOwner,
      mayGiveAll: isOwner,
    };
    this.#local.set(socket, caller);
    return caller;
  }

  #judge(socket: Socket): SvidVerdict | { readonly kind: 'refused'; readonly detail: string } {
    const { bundle } = this.#deps.trust.current();
    const chain = this.#chains.get(socket) ?? [];
    const revoked = chain.find(({ serial }) => this.#deps.isRevoked(serial));
    if (revoked !== undefined) return { kind: 'refused', detail: `${revoked.serial} is revoked` };
    return verifyX509Svid({
      chain,
      bundles: new Map([[bundle.trustDomain, bundle]]),
      atMs: this.#deps.clock.wallMs(),
      purpose: 'clientAuth',
    });
  }
}
