/** A CA in this process: `NodeApi` over real mutual TLS, over a test PKI, with no store and no log. */

import { Buffer } from 'node:buffer';
import { hash, type KeyObject } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import {
  type Entry,
  type MintJwtSvidsRequest,
  NodeApiService,
  type SignX509SvidsRequest,
  type SyncRequest,
  type SyncResponse,
} from '../../api/index.ts';
import { CodedError, type ErrorKind, silentLogger, toHex, WatchSource } from '../../core/index.ts';
import { keyIdOf, parseCertificate, parseCertificateRequest } from '../../pki/index.ts';
import { createRpcServer, duplexStream, type RpcServer, unary } from '../../rpc/index.ts';
import {
  type BundleSet,
  formatBundle,
  parseTrustDomain,
  verifyX509Svid,
} from '../../spiffe/index.ts';
import { FakeJwtKey } from './fake-jwt-key.ts';
import { makeTestPki, type TestPki } from './test-pki.ts';

/** A root with the issuing authority under it. */
export interface FakeRoot extends TestPki {
  readonly keyId: string;
}

export class FakeCaRefusal extends CodedError {
  override readonly name = 'FakeCaRefusal';
  override readonly kind: ErrorKind;

  constructor(kind: ErrorKind, code: string, message: string) {
    super(code, message);
    this.kind = kind;
  }
}

export interface FakeCaOptions {
  readonly trustDomain?: string;
  readonly svidTtlMs?: number;
  readonly nodeTtlMs?: number;
  readonly tokens?: readonly string[];
}

/** Everything a test may turn is a plain member. */
export class FakeCa {
  readonly trustDomain;
  /** With the key that each was used by, and when. */
  readonly tokens: Map<string, { readonly spki: string; readonly atMs: number } | undefined>;
  /** How long a token is taken again from the same key while the node has no place: as the CA does. */
  repeatMs = 600_000;
  svidTtlMs: number;
  nodeTtlMs: number;
  roots: FakeRoot[] = [];
  active: FakeRoot | undefined;
  port = 0;
  /** Thrown by the next calls of that method, as long as it is set. */
  failing = new Map<'attest' | 'renew' | 'sign' | 'mint', FakeCaRefusal>();
  readonly calls = { attest: 0, renew: 0, sign: 0, mint: 0, sync: 0 };
  /** In the bundle; the last one signs. */
  jwtKeys: FakeJwtKey[] = [new FakeJwtKey('jwt-1')];
  jwtTtlMs = 300_000;
  tainted: string[] = [];
  revokedSerials: string[] = [];
  /** By trust domain, SPIFFE JWKS. */
  federatedBundles: Record<string, string> = {};
  readonly syncRequests: SyncRequest[] = [];
  readonly #state = new WatchSource<SyncResponse | undefined>(undefined);
  #entries: Entry[] = [];
  /** Has its place from its first attestation on, until it is evicted. */
  #hasNode = false;
  #revision = 0n;
  #server: RpcServer | undefined;
  #context: SecureContext | undefined;

  constructor(options: FakeCaOptions = {}) {
    this.trustDomain = parseTrustDomain(options.trustDomain ?? 'mesh.test');
    this.svidTtlMs = options.svidTtlMs ?? 3_600_000;
    this.nodeTtlMs = options.nodeTtlMs ?? 3_600_000;
    this.tokens = new Map((options.tokens ?? ['token']).map((token) => [token, undefined]));
  }

  /** SHA-256 of the first root, in hex. */
  get rootSha256(): string {
    return hash('sha256', this.#anyRoot().root.der, 'hex');
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    if (this.roots.length === 0) await this.addRoot();
    this.active ??= this.roots[0];
    await this.#newContext();
    this.#server = createRpcServer(silentLogger, { messageBytesMax: 16 * 1024 * 1024 });
    this.#serve(this.#server);
    const { port } = await this.#server.listenTls({
      host: '127.0.0.1',
      port: this.port,
      context: () => this.#context,
      verifyPeer: (chain) => this.#verifyPeer(chain),
    });
    this.port = port;
  }

  /** What a killed CA looks like from outside; `start` brings it back on the same port. */
  async stop(): Promise<void> {
    await this.#server?.close();
    this.#server = undefined;
  }

  async addRoot(): Promise<FakeRoot> {
    const pki = await makeTestPki({ trustDomain: this.trustDomain, nowMs: Date.now() });
    const root = { ...pki, keyId: toHex(keyIdOf(pki.root.signer.publicKey)) };
    this.roots.push(root);
    this.#push();
    return root;
  }

  async activate(root: FakeRoot): Promise<void> {
    this.active = root;
    await this.#newContext();
    this.#push();
  }

  retire(root: FakeRoot): void {
    this.roots = this.roots.filter((other) => other !== root);
    this.#push();
  }

  setEntries(entries: readonly (Partial<Entry> & Pick<Entry, 'id' | 'spiffeId' | 'selectors'>)[]) {
    this.#entries = entries.map((entry) => ({
      x509SvidTtlMs: 0n,
      dnsNames: [],
      hint: '',
      priority: 0,
      createdAtMs: 0n,
      revision: 1n,
      federatesWith: [],
      ...entry,
    }));
    this.#push();
  }

  /** Takes the node's place and its token, as `signet node evict` does. */
  evict(): void {
    this.#hasNode = false;
    for (const [token, used] of this.tokens) if (used !== undefined) this.tokens.delete(token);
  }

  /** Sends the state again, after a plain member of it was changed. */
  push(): void {
    this.#push();
  }

  /** The newest reports of the agent, by root key id. */
  trust(keyId: string): { subscribers: number; acknowledged: number } | undefined {
    return this.syncRequests.at(-1)?.trust.find((report) => report.authorityKeyId === keyId);
  }

  get revision(): bigint {
    return this.#revision;
  }

  #push(): void {
    this.#revision += 1n;
    this.#state.set({
      revision: this.#revision,
      entries: this.#entries,
      bundle: this.#bundle(),
      activeRootKeyId: this.active?.keyId ?? '',
      crls: [],
      revokedSerials: [...this.revokedSerials],
      taintedKeyIds: [...this.tainted],
      derivables: [],
      secrets: [],
      federatedBundles: Object.fromEntries(
        Object.entries(this.federatedBundles).map(([name, text]) => [name, Buffer.from(text)]),
      ),
    });
  }

  #bundle(): Buffer {
    return Buffer.from(formatBundle(this.#bundleValue()));
  }

  #bundleValue() {
    return {
      trustDomain: this.trustDomain,
      sequence: this.#revision,
      x509Authorities: this.roots.map(({ root }) => root.certificate),
      jwtAuthorities: this.jwtKeys,
    };
  }

  #anyRoot(): FakeRoot {
    const [root] = this.roots;
    if (root === undefined) throw new Error('the fake CA has no root');
    return root;
  }

  async #newContext(): Promise<void> {
    const pki = this.active ?? this.#anyRoot();
    const leaf = await pki.issueLeaf({ id: '/signet/ca' });
    this.#context = createSecureContext({
      ca: [],
      key: leaf.keyPem,
      // The root goes along, so that an agent that pinned it can pick it out.
      cert: leaf.chainPem + pki.root.pem,
    });
  }

  async #chain(publicKey: KeyObject, id: string, ttlMs: number): Promise<Buffer[]> {
    const pki = this.active ?? this.#anyRoot();
    const leaf = await pki.issueLeaf({ id, publicKey, notAfterMs: Date.now() + ttlMs });
    return leaf.chainDer.map((der) => Buffer.from(der));
  }

  #verifyPeer(chain: readonly Uint8Array[]) {
    if (chain.length === 0) return { kind: 'accepted', identity: undefined } as const;
    const bundles: BundleSet = new Map([[this.trustDomain, this.#bundleValue()]]);
    const verdict = verifyX509Svid({
      chain: chain.map((der) => parseCertificate(der)),
      bundles,
      atMs: Date.now(),
      purpose: 'clientAuth',
    });
    return verdict.kind === 'valid'
      ? ({ kind: 'accepted', identity: verdict.id } as const)
      : ({ kind: 'refused', detail: verdict.detail } as const);
  }

  #serve(server: RpcServer): void {
    const { lookup } = server;
    const node = (context: { caller: ReturnType<typeof lookup> }): string => {
      const { caller } = context;
      if (caller.kind !== 'tls' || caller.identity === undefined) {
        throw new FakeCaRefusal('unauthenticated', 'node_svid_required', 'no node SVID');
      }
      if (this.#hasNode) return caller.identity;
      throw new FakeCaRefusal('permission_denied', 'node_unknown', 'the node has no place');
    };
    server.addService(NodeApiService, {
      attest: unary(lookup, async (request) => {
        this.calls.attest += 1;
        this.#failIf('attest');
        const token = request.evidence.toString();
        const { spki, publicKey } = parseCertificateRequest(request.csr);
        if (!this.tokens.has(token)) {
          throw new FakeCaRefusal('unauthenticated', 'token_unknown', 'no such join token');
        }
        // The rule of `ca/registry/join-token.ts`.
        const used = this.tokens.get(token);
        const isLate = !this.#hasNode && Date.now() >= (used?.atMs ?? 0) + this.repeatMs;
        if (used !== undefined && (used.spki !== toHex(spki) || isLate)) {
          throw new FakeCaRefusal('unauthenticated', 'token_used', 'the join token was used');
        }
        if (used === undefined) this.tokens.set(token, { spki: toHex(spki), atMs: Date.now() });
        this.#hasNode = true;
        const spiffeId = `spiffe://${this.trustDomain}/signet/node/join_token/n1`;
        const chain = await this.#chain(publicKey, spiffeId, this.nodeTtlMs);
        return { spiffeId, chain, bundle: this.#bundle() };
      }),
      renew: unary(lookup, async (request, context) => {
        this.calls.renew += 1;
        this.#failIf('renew');
        const { publicKey } = parseCertificateRequest(request.csr);
        const chain = await this.#chain(publicKey, node(context), this.nodeTtlMs);
        return { chain };
      }),
      sync: duplexStream(lookup, async (stream, context) => {
        this.calls.sync += 1;
        node(context);
        const send = (state: SyncResponse | undefined): void => {
          if (state !== undefined) stream.send(state);
        };
        send(this.#state.current());
        const stop = this.#state.subscribe(send);
        for await (const request of stream.requests) this.syncRequests.push(request);
        stop();
      }),
      signX509Svids: unary(lookup, async (request: SignX509SvidsRequest, context) => {
        this.calls.sign += 1;
        this.#failIf('sign');
        node(context);
        const items = await Promise.all(
          request.items.map(async ({ entryId, csr }) => {
            const entry = this.#entries.find(({ id }) => id === entryId);
            if (entry === undefined) {
              const value = { kind: 'permission_denied', code: 'entry_unknown', detail: entryId };
              return { outcome: { $case: 'refusal' as const, value } };
            }
            const { publicKey } = parseCertificateRequest(csr);
            const ttlMs = Number(entry.x509SvidTtlMs) || this.svidTtlMs;
            const chain = await this.#chain(publicKey, entry.spiffeId, ttlMs);
            const value = { certificates: chain };
            return { outcome: { $case: 'chain' as const, value } };
          }),
        );
        return { items };
      }),
      mintJwtSvids: unary(lookup, async ({ items }: MintJwtSvidsRequest, context) => {
        this.calls.mint += 1;
        this.#failIf('mint');
        node(context);
        return { items: items.map(({ entryId, audience }) => this.#mint(entryId, audience)) };
      }),
    });
  }

  #mint(entryId: string, audience: readonly string[]) {
    const entry = this.#entries.find(({ id }) => id === entryId);
    const key = this.jwtKeys.at(-1);
    if (entry === undefined || key === undefined) {
      const value = { kind: 'permission_denied', code: 'entry_unknown', detail: entryId };
      return { outcome: { $case: 'refusal' as const, value } };
    }
    const expiresAtMs = Date.now() + this.jwtTtlMs;
    const token = key.sign({
      sub: entry.spiffeId,
      aud: audience,
      exp: Math.floor(expiresAtMs / 1000),
    });
    return {
      outcome: { $case: 'minted' as const, value: { token, expiresAtMs: BigInt(expiresAtMs) } },
    };
  }

  #failIf(method: 'attest' | 'renew' | 'sign' | 'mint'): void {
    const error = this.failing.get(method);
    if (error !== undefined) throw error;
  }
}
