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
  /** The other names that it certifies; absent from records of before they were kept. */
  readonly dnsNames?: readonly string[];
  /** Lower hexadecimal SHA-256 of the subjectPublicKeyInfo. */
  readonly spkiSha256: string;
  /**
   * Lower hexadecimal SHA-256 of the to-be-signed bytes (RFC 5280 §4.1.1.1): all that was certified, and no
   * signature, so that it is known before the key is used. Absent as above.
   */
  readonly tbsSha256?: string;
  /** RFC 3339, UTC. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** Lower hexadecimal key id of the issuer. */
  readonly issuerKeyId: string;
  /** Lower hexadecimal SHA-256 of the request's DER; absent where there was no request. */
  readonly csrSha256?: string;
  readonly entryId?: string;
  /** Whose own end made it shorter than was asked for. */
  readonly cappedBy?: 'issuer' | 'entry';
  /** What an agent attested of the workload, where the identity was derived from that. */
  readonly workloadSelectors?: readonly string[];
};

export type AuditedAuthority = {
  readonly keyId: string;
  readonly spkiSha256?: string;
  readonly notBefore?: string;
  readonly notAfter?: string;
};

/** How much of the fleet had acknowledged a key when a step of its rotation was taken, and what was asked. */
export type AuditedEvidence = {
  readonly nodes: number;
  readonly nodesApplied: number;
  readonly subscribers: number;
  readonly acknowledged: number;
  /** The mean of the nodes' own shares of sidecars, which is what was judged; absent where none has any. */
  readonly sidecarShare?: number;
  readonly threshold: number;
};

/** All that an operator decided of it. What is left out is the CA's default, or the record is of before it was kept. */
export type AuditedEntry = {
  readonly id: string;
  readonly spiffeId: string;
  readonly parentId: string;
  readonly selectors: readonly string[];
  readonly revision: number;
  readonly x509SvidTtlSeconds?: number;
  readonly jwtSvidTtlSeconds?: number;
  readonly dnsNames?: readonly string[];
  readonly hint?: string;
  readonly federatesWith?: readonly string[];
  readonly admin?: boolean;
  readonly priority?: number;
  /** RFC 3339, UTC. */
  readonly expiresAt?: string;
};

export type AuditedRule = {
  readonly ruleId: string;
  readonly template: string;
  readonly selectors: readonly string[];
  readonly nodeSelectors: readonly string[];
  /** By type of selector, whose word fills the template; absent: the node's own proof alone. */
  readonly trust?: Readonly<Record<string, string>>;
  /** These as in {@link AuditedEntry}. */
  readonly x509SvidTtlSeconds?: number;
  readonly jwtSvidTtlSeconds?: number;
  /** Templates, as the operator wrote them. */
  readonly dnsNames?: readonly string[];
  readonly federatesWith?: readonly string[];
  readonly hint?: string;
  readonly priority?: number;
};

/** Why something was refused: a stable code, and a line for people. */
export type AuditedRefusal = {
  readonly code: string;
  readonly detail: string;
};

/** The rule of the operator's policy that decided, and its reason; older records have the rule alone. */
export type AuditedPolicy = { readonly rule: string; readonly reason?: string };

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
  /** As in {@link AuditedCertificate}. */
  readonly workloadSelectors?: readonly string[];
};

/** A named secret as it is to stand; of its values no more than their names. */
export type AuditedSecret = {
  readonly name: string;
  readonly version: number;
  readonly values: readonly string[];
  /** Who may have it: SPIFFE IDs, or `spiffe://<trust domain>/*`. */
  readonly allow: readonly string[];
};

/** The log up to a checkpoint. */
export type AuditedTree = {
  readonly size: number;
  /** Lower hexadecimal. */
  readonly rootHash: string;
};

export type AuditedSegment = {
  readonly firstIndex: number;
  readonly records: number;
  readonly sha256: string;
};

export type AuditedBackup = {
  /** When it was made: what happened from then on is not in it. */
  readonly createdAt: string;
  /** Of its bytes before the last line, which names it too. */
  readonly sha256: string;
  /** The store's revision at which it was read. */
  readonly revision: number;
};

/** The bundle of another trust domain. */
export type AuditedForeignBundle = {
  readonly trustDomain: string;
  readonly sequence: string;
  /** Of the document that is passed on to nodes. */
  readonly sha256: string;
  readonly x509Authorities: number;
  readonly jwtAuthorities: number;
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
  | ({ readonly type: 'rule.created' | 'rule.deleted' } & AuditedRule)
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
  /** A new version, or another rule for the one that stands; written before it can be read. */
  | {
      readonly type: 'secret.put' | 'secret.deleted';
      readonly secret: AuditedSecret;
    }
  /** Session-ticket keys are read under the name `session-ticket-keys`; their version is their epoch's second. */
  | {
      readonly type: 'secret.read';
      readonly name: string;
      readonly version: number;
      readonly spiffeId: string;
      readonly entryId: string;
    }
  | {
      readonly type: 'secret.denied';
      readonly refusal: AuditedRefusal;
      readonly name: string;
      readonly entryId: string;
      readonly spiffeId?: string;
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
        | 'authority.revoked'
        | 'jwt_key.prepared'
        | 'jwt_key.published'
        | 'jwt_key.activated'
        | 'jwt_key.retired'
        | 'jwt_key.aborted'
        | 'jwt_key.tainted'
        | 'jwt_key.revoked';
      readonly authority: AuditedAuthority;
      /** An operator went on although somebody might be stranded. */
      readonly forced?: boolean;
      /** What the step was judged by. */
      readonly evidence?: AuditedEvidence;
      /** No certificate, or token, under it ends later. */
      readonly lastLeafNotAfter?: string;
    }
  | {
      readonly type: 'authority.issuing_rotated';
      readonly certificate: AuditedCertificate;
      /** The new authority's, as the certificates that it signs name it. */
      readonly keyId?: string;
    }
  | {
      readonly type: 'federated_bundle.set' | 'federated_bundle.deleted';
      readonly bundle: AuditedForeignBundle;
      /** What it took the place of. */
      readonly before?: AuditedForeignBundle;
      /** An operator went back to an older one, or took one that trusts nobody. */
      readonly forced?: boolean;
    }
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
  | { readonly type: 'token.deleted'; readonly tokenId: string; readonly aliasId?: string }
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
  /** The first start after a restore: what the lost CA did between the backup and this record is not here. */
  | {
      readonly type: 'ca.restored';
      readonly backup: AuditedBackup;
      /** What the restored log's checkpoint signed. */
      readonly checkpoint: AuditedTree;
    }
  /** The first record of a log that was begun because the one before it was lost, which an operator said. */
  | { readonly type: 'audit.restarted'; readonly lost: AuditedTree; readonly reason: string }
  | {
      readonly type: 'audit.segment_archived';
      readonly segment: AuditedSegment;
      /** Where to, as the operator named it. */
      readonly to: string;
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
