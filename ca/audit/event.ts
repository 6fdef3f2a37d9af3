/**
 * What the audit log can say: one type per act, and a certificate block wherever one was issued.
 *
 * These are type aliases, not interfaces, so that the compiler knows them to be plain JSON.
 */

/** Who did it. A node is known by its SPIFFE ID, an admin by its SPIFFE ID or `uid:<n>`. */
export type Actor = {
  readonly kind: 'node' | 'admin' | 'system';
  readonly id: string;
  /** Where the call came from, when it came over a network. */
  readonly address?: string;
  readonly uid?: number;
  readonly pid?: number;
};

/** Enough to find a certificate again, to know its key, and to say who may have used it and when. */
export type AuditedCertificate = {
  readonly serial: string;
  readonly spiffeId: string;
  /** Lower hexadecimal SHA-256 of the subjectPublicKeyInfo. */
  readonly spkiSha256: string;
  /** RFC 3339, UTC. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** Lower hexadecimal key id of the issuer. */
  readonly issuerKeyId: string;
  /** Lower hexadecimal SHA-256 of the request's DER; absent where there was no request. */
  readonly csrSha256?: string;
  readonly entryId?: string;
};

export type AuditedAuthority = {
  readonly keyId: string;
  readonly spkiSha256?: string;
  readonly notBefore?: string;
  readonly notAfter?: string;
};

export type AuditedEntry = {
  readonly id: string;
  readonly spiffeId: string;
  readonly parentId: string;
  readonly selectors: readonly string[];
  readonly revision: number;
};

/** Why something was refused: a stable code, and a line for people. */
export type AuditedRefusal = {
  readonly code: string;
  readonly detail: string;
};

/** The rule of the operator's policy that decided. */
export type AuditedPolicy = { readonly rule: string };

export type AuditedPolicyDocument = {
  readonly file: string;
  readonly sha256: string;
  readonly rules: number;
};

/** A JWT-SVID, known by its `jti`; the token itself is a secret of its bearer. */
export type AuditedToken = {
  readonly jti: string;
  readonly spiffeId: string;
  readonly audience: readonly string[];
  /** RFC 3339, UTC. */
  readonly issuedAt: string;
  readonly expiresAt: string;
  /** The `kid` it is signed with. */
  readonly keyId: string;
  readonly entryId: string;
};

export type AuditEvent = { readonly actor: Actor } & AuditAct;

export type AuditAct =
  | { readonly type: 'ca.started'; readonly trustDomain: string; readonly version?: string }
  | { readonly type: 'ca.stopped' }
  | {
      readonly type: 'node.attested';
      readonly nodeId: string;
      readonly attestor: string;
      readonly selectors: readonly string[];
      readonly certificate: AuditedCertificate;
    }
  | {
      readonly type: 'node.attest_denied';
      readonly attestor: string;
      readonly refusal: AuditedRefusal;
      readonly tokenId?: string;
      /** Who it would have been; with evidence that proved that much, or a node that is banned. */
      readonly nodeId?: string;
      readonly csrSha256?: string;
    }
  | {
      readonly type: 'node.renewed';
      readonly nodeId: string;
      readonly certificate: AuditedCertificate;
    }
  | { readonly type: 'node.removed'; readonly nodeId: string; readonly reason?: string }
  | {
      readonly type: 'node.evicted' | 'node.banned' | 'node.unbanned';
      readonly nodeId: string;
      readonly reason?: string;
    }
  | {
      readonly type: 'rule.created' | 'rule.deleted';
      readonly ruleId: string;
      readonly template: string;
      readonly selectors: readonly string[];
      readonly nodeSelectors: readonly string[];
    }
  | {
      readonly type: 'svid.issued';
      readonly certificate: AuditedCertificate;
      readonly policy?: AuditedPolicy;
    }
  | {
      readonly type: 'svid.revoked';
      /** What the operator named, and which certificates it covered at that moment. */
      readonly by: 'serial' | 'spiffe_id' | 'node' | 'issuer';
      readonly target: string;
      readonly reason: string;
      readonly serials: readonly string[];
      /** Nothing further is issued for the target until `svid.unblocked`. */
      readonly blocked: boolean;
    }
  | { readonly type: 'svid.unblocked'; readonly spiffeId: string }
  | {
      readonly type: 'svid.denied';
      readonly refusal: AuditedRefusal;
      readonly entryId?: string;
      readonly spiffeId?: string;
      readonly csrSha256?: string;
      readonly policy?: AuditedPolicy;
    }
  | {
      readonly type: 'jwt.issued';
      readonly token: AuditedToken;
      readonly policy?: AuditedPolicy;
    }
  | {
      readonly type: 'jwt.denied';
      readonly refusal: AuditedRefusal;
      readonly entryId: string;
      readonly spiffeId?: string;
      readonly audience: readonly string[];
      readonly policy?: AuditedPolicy;
    }
  /** At each start and each reload: from here on verdicts are those of this document. */
  | { readonly type: 'policy.loaded'; readonly document: AuditedPolicyDocument }
  | {
      readonly type:
        | 'authority.prepared'
        /** The evidence says that enough of the fleet trusts it. */
        | 'authority.published'
        | 'authority.activated'
        | 'authority.retired'
        | 'authority.aborted'
        | 'authority.tainted'
        | 'authority.revoked';
      readonly authority: AuditedAuthority;
      /** An operator went on although somebody might be stranded. */
      readonly forced?: boolean;
    }
  | {
      readonly type:
        | 'jwt_key.prepared'
        | 'jwt_key.published'
        | 'jwt_key.activated'
        | 'jwt_key.retired';
      readonly authority: AuditedAuthority;
    }
  | { readonly type: 'authority.issuing_rotated'; readonly certificate: AuditedCertificate }
  | {
      readonly type: 'entry.created' | 'entry.updated' | 'entry.deleted';
      readonly entry: AuditedEntry;
    }
  | {
      readonly type: 'token.created';
      readonly tokenId: string;
      readonly expiresAt: string;
      readonly aliasId?: string;
    }
  | { readonly type: 'token.used'; readonly tokenId: string; readonly nodeId: string }
  | {
      readonly type: 'admin.call';
      readonly method: string;
      readonly path: string;
      readonly status: number;
      /** What the caller was told to ask after. */
      readonly requestId?: string;
      readonly refusal?: AuditedRefusal;
    }
  /** Written by the log itself when it opens after a crash and finds a record half-written. */
  | { readonly type: 'audit.recovered'; readonly bytesCut: number };

export type AuditEventType = AuditAct['type'];

/** An event as it stands in the log. */
export type AuditRecord = AuditEvent & {
  /** Its place in the log, from 0: also the index of its Merkle leaf. */
  readonly index: number;
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string;
  /** Lower hexadecimal leaf hash of the record before; sixty-four zeros for the first. */
  readonly previous: string;
};
