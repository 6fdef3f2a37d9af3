/** A CA as a program with a directory of its own, for stories in which it is stopped, killed, refused or lost. */

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type AdminClient, adminClient } from '../../api/index.ts';
import { type Child, startChild } from '../../cli/demo/child.ts';
import { signetScript, writeConfig } from '../../cli/demo/control-plane.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { pemEncode } from '../../pki/index.ts';
import { parseBundle } from '../../spiffe/index.ts';
import { type CaAddress, joinNode, type TestNode } from './ca-client.ts';
import { signed, trustDomain } from './ca-fixture.ts';

export class CaProgram {
  readonly directory = mkdtempSync(join(tmpdir(), 'signet-program-'));
  readonly adminSocket = join(this.directory, 'admin.sock');
  readonly kek = join(this.directory, 'config', 'kek');
  readonly admin: AdminClient = adminClient(this.adminSocket);
  readonly data: string;
  readonly #changes: object;
  #child: Child | undefined;
  #logOffset = 0;

  /** Nothing runs yet. `data` may be on a disk of its own. */
  constructor(changes: object = {}, data?: string) {
    for (const name of ['logs', 'tmp', 'config']) mkdirSync(join(this.directory, name));
    writeFileSync(this.kek, randomBytes(32).toString('hex'));
    this.data = data ?? join(this.directory, 'ca');
    this.#changes = changes;
  }

  get audit(): string {
    return join(this.data, 'audit');
  }

  /** Resolves when it answers. */
  async start(kek = this.kek): Promise<void> {
    this.#launch(kek);
    await waitFor('the CA answering', 30_000, async () => {
      expect(this.#child?.ended(), this.log()).toBeUndefined();
      return this.admin.status();
    });
  }

  /** What a start says that does not come to its end. */
  async refusal(kek = this.kek): Promise<string> {
    this.#launch(kek);
    await waitFor('the CA refusing', 30_000, () => this.#child?.ended());
    return this.log();
  }

  /** What it has written since it was started. */
  log(): string {
    return readFileSync(this.#logFile, 'utf8').slice(this.#logOffset);
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    await this.#child?.stop(signal);
    if (signal === 'SIGTERM') expect(this.#child?.ended()).toBe('exit code 0');
    this.#child = undefined;
  }

  /** Ends it, whatever it is at, and removes what it wrote. */
  async end(): Promise<void> {
    await this.#child?.stop('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }

  async address(): Promise<CaAddress> {
    const { agentAddress } = await this.admin.status();
    const { x509Authorities } = parseBundle(await this.admin.bundle(), trustDomain);
    return {
      port: Number(agentAddress.split(':').at(-1)),
      roots: x509Authorities.map(({ der }) => pemEncode('CERTIFICATE', der)).join(''),
    };
  }

  /** A node that has one entry and got one certificate. */
  async join(): Promise<{ readonly node: TestNode; readonly entryId: string }> {
    const { token } = await this.admin.createToken({ ttlSeconds: 60 });
    const node = await joinNode(await this.address(), token);
    const { id } = await this.admin.createEntry({
      spiffeId: 'spiffe://mesh.test/web',
      parentId: node.spiffeId,
      selectors: ['unix:uid:1000'],
    });
    await signed(node, id);
    return { node, entryId: id };
  }

  get #logFile(): string {
    return join(this.directory, 'logs', 'ca.log');
  }

  #launch(kek: string): void {
    const config = writeConfig(this.directory, 'ca', {
      trustDomain,
      data: this.data,
      listen: '127.0.0.1:0',
      adminSocket: this.adminSocket,
      keyEncryptionKey: { file: kek },
      lifetimes: { root: '1h', issuing: '10m', x509Svid: '60s', nodeSvid: '5m', backdate: '5s' },
      ...this.#changes,
    });
    this.#logOffset = existsSync(this.#logFile) ? readFileSync(this.#logFile, 'utf8').length : 0;
    const args = ['ca', 'run', '--config', config];
    this.#child = startChild({ name: 'ca', directory: this.directory, script: signetScript, args });
  }
}
