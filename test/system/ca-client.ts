/** A node as the CA sees one: attests, connects with its SVID, syncs and signs, with nothing of our agent. */

import { Buffer } from 'node:buffer';
import type { KeyObject } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import {
  type AttestResponse,
  type MintJwtSvidsRequest,
  type MintJwtSvidsResponse,
  NodeApiClient,
  type RenewResponse,
  type SignX509SvidsResponse,
  type SyncRequest,
  type SyncResponse,
  type TrustReport,
} from '../../api/index.ts';
import { systemClock } from '../../core/index.ts';
import {
  createCertificateRequest,
  generateKeyPair,
  keySigner,
  parseCertificate,
  pemEncode,
} from '../../pki/index.ts';
import { callUnary, tlsChannel } from '../../rpc/index.ts';
import { checkLeaf } from '../../spiffe/index.ts';

export interface TestNode {
  readonly spiffeId: string;
  readonly attested: AttestResponse;
  readonly key: KeyObject;
  sync(): SyncStream;
  sign(
    entryId: string,
    csr?: Uint8Array,
    selectors?: readonly string[],
  ): Promise<SignX509SvidsResponse>;
  signMany(entryId: string, count: number): Promise<SignX509SvidsResponse>;
  renew(): Promise<readonly Uint8Array[]>;
  mint(items: MintJwtSvidsRequest['items']): Promise<MintJwtSvidsResponse>;
  close(): void;
}

export interface SyncStream {
  /** The newest state received. */
  readonly states: SyncResponse[];
  /** Resolves with the first state, had or to come, that `accept` takes. */
  state(accept: (state: SyncResponse) => boolean): Promise<SyncResponse>;
  acknowledge(revision: bigint, trust?: readonly TrustReport[]): void;
  /** Resolves when the stream has ended, with its error if it had one. */
  readonly ended: Promise<Error | undefined>;
  cancel(): void;
}

export async function csrOf(key: KeyObject): Promise<Buffer> {
  return Buffer.from(await createCertificateRequest(keySigner(key)));
}

/** Where the CA is, and the roots (PEM) that its server is verified by. */
export interface CaAddress {
  readonly port: number;
  readonly roots: string;
}

/** Attests once with `token`. */
export async function attest(ca: CaAddress, token: string, csr: Buffer): Promise<AttestResponse> {
  const client = clientOf(ca, undefined);
  const evidence = Buffer.from(token);
  const request = { attestor: 'join_token', evidence, csr, agentVersion: 'test' };
  try {
    return await call((metadata, options, done) => client.attest(request, metadata, options, done));
  } finally {
    client.close();
  }
}

export async function joinNode(ca: CaAddress, token: string): Promise<TestNode> {
  const key = generateKeyPair('ec-p256').privateKey;
  const attested = await attest(ca, token, await csrOf(key));
  return connectNode(ca, key, attested);
}

/** A node that was attested before, over a new connection. */
export function connectNode(ca: CaAddress, key: KeyObject, attested: AttestResponse): TestNode {
  const client = clientOf(ca, { key, chain: attested.chain });
  const sign: TestNode['signMany'] = async (entryId, count) => {
    const items = await Promise.all(
      Array.from({ length: count }, async () => ({
        entryId,
        csr: await csrOf(generateKeyPair('ec-p256').privateKey),
        selectors: [],
      })),
    );
    return call((metadata, options, done) =>
      client.signX509Svids({ items }, metadata, options, done),
    );
  };
  return {
    spiffeId: attested.spiffeId,
    attested,
    key,
    sync: () => openSync(client),
    signMany: sign,
    async sign(entryId, csr, selectors = []) {
      if (csr === undefined) return sign(entryId, 1);
      const items = [{ entryId, csr: Buffer.from(csr), selectors: [...selectors] }];
      return call((metadata, options, done) =>
        client.signX509Svids({ items }, metadata, options, done),
      );
    },
    async renew() {
      const csr = await csrOf(generateKeyPair('ec-p256').privateKey);
      const { chain } = await call<RenewResponse>((metadata, options, done) =>
        client.renew({ csr }, metadata, options, done),
      );
      return chain;
    },
    mint: (items) =>
      call((metadata, options, done) => client.mintJwtSvids({ items }, metadata, options, done)),
    close: () => client.close(),
  };
}

function call<Response>(start: Parameters<typeof callUnary<Response>>[2]): Promise<Response> {
  return callUnary('the CA', deadlineMs, start, systemClock.wallMs());
}

function openSync(client: NodeApiClient): SyncStream {
  const stream = client.sync();
  const states: SyncResponse[] = [];
  const waiting = new Set<() => void>();
  let failure: Error | undefined;
  let isOver = false;
  const wake = (): void => {
    for (const each of waiting) each();
  };
  const ended = new Promise<Error | undefined>((resolve) => {
    const end = (): void => {
      isOver = true;
      wake();
      resolve(failure);
    };
    stream.on('error', (error: Error) => {
      failure = error;
      end();
    });
    stream.on('end', end);
  });
  stream.on('data', (state: SyncResponse) => {
    states.push(state);
    wake();
  });
  const send = (request: SyncRequest): void => void stream.write(request);
  send({
    appliedRevision: 0n,
    trust: [],
    agentVersion: 'test',
    secretReports: [],
    secretHoldings: [],
    secretHoldingsLeftOut: 0,
  });
  return {
    states,
    ended,
    async state(accept) {
      for (;;) {
        const found = states.find(accept);
        if (found !== undefined) return found;
        if (isOver) throw failure ?? new Error('the stream has ended');
        await new Promise<void>((resolve) => {
          const once = (): void => {
            waiting.delete(once);
            resolve();
          };
          waiting.add(once);
        });
      }
    },
    acknowledge: (appliedRevision, trust = []) =>
      send({
        appliedRevision,
        trust: [...trust],
        agentVersion: '',
        secretReports: [],
        secretHoldings: [],
        secretHoldingsLeftOut: 0,
      }),
    cancel: () => stream.cancel(),
  };
}

function clientOf(
  ca: CaAddress,
  svid: { readonly key: KeyObject; readonly chain: readonly Uint8Array[] } | undefined,
): NodeApiClient {
  const context = createSecureContext({
    ca: ca.roots,
    minVersion: 'TLSv1.3',
    ...(svid === undefined
      ? {}
      : {
          cert: svid.chain.map((der) => pemEncode('CERTIFICATE', der)).join(''),
          key: svid.key.export({ format: 'pem', type: 'pkcs8' }),
        }),
  });
  const channel = tlsChannel({ host: '127.0.0.1', port: ca.port }, context, (leaf) => {
    const verdict = checkLeaf(parseCertificate(leaf));
    return verdict.kind === 'ok' && verdict.id.endsWith('/signet/ca') ? undefined : 'not the CA';
  });
  return new NodeApiClient(channel.target, channel.credentials, channel.options);
}

const deadlineMs = 10_000;
