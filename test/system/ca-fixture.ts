/** A CA in this process with a directory of its own, its admin client, and nodes that join it. */

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type AdminClient, adminClient, type AuthorityView } from '../../api/index.ts';
import { parseCaConfig, type RunningCa, startCa, verifyAuditLog } from '../../ca/index.ts';
import { type Clock, silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { parseCertificate, pemEncode } from '../../pki/index.ts';
import {
  type Bundle,
  parseBundle,
  parseTrustDomain,
  type SvidVerdict,
  verifyX509Svid,
} from '../../spiffe/index.ts';
import { type CaAddress, joinNode, type TestNode } from './ca-client.ts';

export const trustDomain = parseTrustDomain('mesh.test');

export class CaFixture {
  readonly directory: string;
  readonly kek = randomBytes(32).toString('hex');
  #running: RunningCa | undefined;

  static async begin(clock: Clock = systemClock, changes: object = {}): Promise<CaFixture> {
    const fixture = new CaFixture(await mkdtemp(join(tmpdir(), 'signet-ca-')));
    fixture.clock = clock;
    await fixture.restart(changes);
    return fixture;
  }

  private constructor(directory: string) {
    this.directory = directory;
  }

  get ca(): RunningCa {
    if (this.#running === undefined) throw new Error('the CA is not running');
    return this.#running;
  }

  get admin(): AdminClient {
    return adminClient(this.ca.adminSocket);
  }

  /** What the CA goes by from its next start on. */
  clock: Clock = systemClock;

  /** Another CA over the same directory, unless `changes` say otherwise. */
  start(
    changes: object = {},
    environment?: Record<string, string>,
    clock: Clock = this.clock,
  ): Promise<RunningCa> {
    const config = parseCaConfig(
      JSON.stringify({
        trustDomain,
        data: this.directory,
        listen: '127.0.0.1:0',
        keyEncryptionKey: { env: 'KEK' },
        lifetimes,
        ...changes,
      }),
      'ca.yaml',
    );
    return startCa(config, {
      clock,
      random: systemRandom,
      log: silentLogger,
      environment: environment ?? { KEK: this.kek },
    });
  }

  async restart(changes: object = {}, clock?: Clock): Promise<void> {
    await this.stop();
    this.#running = await this.start(changes, undefined, clock);
  }

  async stop(): Promise<void> {
    await this.#running?.close();
    this.#running = undefined;
  }

  /** Ends it, and checks what must hold after any story: the audit log is whole. */
  async end(): Promise<void> {
    await this.stop();
    const verdict = await verifyAuditLog({ directory: join(this.directory, 'audit') });
    await rm(this.directory, { recursive: true, force: true });
    expect(verdict).toMatchObject({ kind: 'ok' });
  }

  async address(): Promise<CaAddress> {
    const { x509Authorities } = await this.bundle();
    const roots = x509Authorities.map(({ der }) => pemEncode('CERTIFICATE', der)).join('');
    return { port: this.ca.agentPort, roots };
  }

  async bundle(): Promise<Bundle> {
    return parseBundle(await this.admin.bundle(), trustDomain);
  }

  async join(): Promise<TestNode> {
    const { token } = await this.admin.createToken({ ttlSeconds: 60 });
    return joinNode(await this.address(), token);
  }

  /** The id of a new entry for `spiffe://mesh.test/web` on this node. */
  async webEntry(node: TestNode): Promise<string> {
    const entry = await this.admin.createEntry({
      spiffeId: 'spiffe://mesh.test/web',
      parentId: node.spiffeId,
      selectors: ['unix:uid:1000'],
      dnsNames: ['web'],
    });
    return entry.id;
  }

  async verified(chain: readonly Uint8Array[]): Promise<SvidVerdict> {
    return verifyX509Svid({
      chain: chain.map((der) => parseCertificate(der)),
      bundles: new Map([[trustDomain, await this.bundle()]]),
      atMs: systemClock.wallMs(),
      purpose: 'serverAuth',
    });
  }

  async root(state: AuthorityView['state']): Promise<AuthorityView> {
    const { authorities } = await this.admin.listAuthorities();
    const found = authorities.find((each) => each.tier === 'root' && each.state === state);
    if (found === undefined) throw new Error(`no ${state} root`);
    return found;
  }
}

/** The chain of one signed certificate. Throws what was refused. */
export async function signed(node: TestNode, entryId: string): Promise<readonly Uint8Array[]> {
  const { items } = await node.sign(entryId);
  const outcome = items[0]?.outcome;
  if (outcome?.$case === 'chain') return outcome.value.certificates;
  throw new Error(JSON.stringify(outcome));
}

const lifetimes = { root: '1h', issuing: '60s', x509Svid: '4s', nodeSvid: '20s', backdate: '5s' };
