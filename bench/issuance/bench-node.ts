/** A node of the mesh that does nothing but ask the CA for certificates. */

import { constants, type KeyObject } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import {
  type AdminClient,
  type AttestResponse,
  NodeApiClient,
  type SignX509SvidsResponse,
  type SignX509SvidsResponse_Item,
  type SyncResponse,
} from '../../api/index.ts';
import { type Closable, systemClock } from '../../core/index.ts';
import {
  createCertificateRequest,
  generateKeyPair,
  keySigner,
  pemEncode,
  privateKeyToPkcs8Der,
} from '../../pki/index.ts';
import { callUnary, tlsChannel } from '../../rpc/index.ts';
import { parseBundle, parseTrustDomain } from '../../spiffe/index.ts';

export interface BenchNode extends Closable {
  /** One call with a request for each of `csrs`, all under the one entry of this node. */
  sign(csrs: readonly Uint8Array[]): Promise<readonly SignX509SvidsResponse_Item[]>;
  /** A new entry of this node; resolves with the time until the CA pushed it here, in milliseconds. */
  pushDelayMs(): Promise<number>;
}

/** Lets a node in by a join token and gives it an entry. */
export async function attestBenchNode(
  admin: AdminClient,
  agentAddress: string,
): Promise<BenchNode> {
  const roots = parseBundle(await admin.bundle(), parseTrustDomain('mesh.test')).x509Authorities;
  const ca = roots.map((root) => pemEncode('CERTIFICATE', root.der));
  const token = await admin.createToken({ ttlSeconds: 600 });
  const { privateKey } = generateKeyPair('ec-p256');
  const csr = Buffer.from(await createCertificateRequest(keySigner(privateKey)));
  const stranger = openClient(agentAddress, { ca });
  const { chain } = await unary<AttestResponse>('attest', (metadata, options, done) =>
    stranger.attest(
      {
        attestor: 'join_token',
        evidence: Buffer.from(token.token),
        csr,
        agentVersion: 'bench',
      },
      metadata,
      options,
      done,
    ),
  );
  stranger.close();
  const { id: entryId } = await admin.createEntry({
    spiffeId: 'spiffe://mesh.test/ns/default/sa/bench',
    parentId: token.spiffeId,
    selectors: ['unix:uid:0'],
  });
  const node = openClient(agentAddress, { ca, chain, privateKey });
  const pushes = openSync(node);
  let made = 0;
  return {
    async pushDelayMs() {
      made += 1;
      const spiffeId = `spiffe://mesh.test/ns/default/sa/pushed-${made}`;
      const beganMs = systemClock.monotonicMs();
      const arrived = pushes.entryOf(spiffeId);
      await admin.createEntry({
        spiffeId,
        parentId: token.spiffeId,
        selectors: [`unix:uid:${made}`],
      });
      return (await arrived) - beganMs;
    },
    async sign(csrs) {
      const items = csrs.map((der) => ({ entryId, csr: Buffer.from(der), selectors: [] }));
      const answer = await unary<SignX509SvidsResponse>('sign', (metadata, options, done) =>
        node.signX509Svids({ items }, metadata, options, done),
      );
      return answer.items;
    },
    async close() {
      pushes.cancel();
      node.close();
    },
  };
}

/** The pushed state, as a time for each new entry. */
function openSync(node: NodeApiClient) {
  const stream = node.sync();
  const waiting = new Map<string, (atMs: number) => void>();
  stream.on('data', ({ revision, entries }: SyncResponse) => {
    const atMs = systemClock.monotonicMs();
    for (const { spiffeId } of entries) {
      waiting.get(spiffeId)?.(atMs);
      waiting.delete(spiffeId);
    }
    stream.write({
      appliedRevision: revision,
      trust: [],
      agentVersion: 'bench',
      secretReports: [],
      secretHoldings: [],
      secretHoldingsLeftOut: 0,
    });
  });
  // Its end is seen as an entry that does not come; what it says then is that it was cancelled.
  stream.on('error', () => {});
  stream.write({
    appliedRevision: 0n,
    trust: [],
    agentVersion: 'bench',
    secretReports: [],
    secretHoldings: [],
    secretHoldingsLeftOut: 0,
  });
  return {
    entryOf: (spiffeId: string): Promise<number> =>
      new Promise((resolve) => waiting.set(spiffeId, resolve)),
    cancel: () => stream.cancel(),
  };
}

interface Identity {
  readonly ca: string[];
  readonly chain?: readonly Uint8Array[];
  readonly privateKey?: KeyObject;
}

function openClient(agentAddress: string, { ca, chain, privateKey }: Identity): NodeApiClient {
  const own =
    chain === undefined || privateKey === undefined
      ? {}
      : {
          cert: chain.map((der) => pemEncode('CERTIFICATE', der)).join(''),
          key: pemEncode('PRIVATE KEY', privateKeyToPkcs8Der(privateKey)),
        };
  const context = createSecureContext({
    ca,
    ...own,
    minVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
  const at = agentAddress.lastIndexOf(':');
  const address = { host: agentAddress.slice(0, at), port: Number(agentAddress.slice(at + 1)) };
  // That it is the CA is no question here: it was started by this benchmark, on this machine.
  const channel = tlsChannel(address, context, () => undefined);
  return new NodeApiClient(channel.target, channel.credentials, channel.options);
}

function unary<Response>(
  what: string,
  start: Parameters<typeof callUnary<Response>>[2],
): Promise<Response> {
  return callUnary(`the CA's ${what}`, callMsMax, start, systemClock.wallMs());
}

// A batch of 256 takes a fifth of a second on a slow core.
const callMsMax = 30_000;
