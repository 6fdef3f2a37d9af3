/** A CA as a process of its own, with lifetimes short enough to see a rotation whole, that can be killed and started. */

import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type AdminClient, adminClient } from '../../api/index.ts';
import { type Child, startChild } from '../../cli/demo/child.ts';
import { signetScript, writeConfig } from '../../cli/demo/control-plane.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { trustDomain } from './ca-fixture.ts';
import { type CommandResult, runSignet } from './signet-command.ts';

export class CaProcess {
  readonly directory = mkdtempSync(join(tmpdir(), 'signet-rotate-'));
  readonly adminSocket = join(this.directory, 'admin.sock');
  readonly admin: AdminClient = adminClient(this.adminSocket);
  readonly auditDirectory = join(this.directory, 'ca', 'audit');
  readonly #config: string;
  #killed = false;
  #child: Child | undefined;

  /** `tokenMax`: the longest life of a token, which a JWT key drains for. */
  static async begin(tokenMax = '2s'): Promise<CaProcess> {
    const ca = new CaProcess(tokenMax);
    await ca.start();
    return ca;
  }

  private constructor(tokenMax: string) {
    for (const name of ['logs', 'tmp', 'config']) mkdirSync(join(this.directory, name));
    const kek = join(this.directory, 'config', 'kek');
    writeFileSync(kek, randomBytes(32).toString('hex'));
    this.#config = writeConfig(this.directory, 'ca', {
      trustDomain,
      data: join(this.directory, 'ca'),
      listen: '127.0.0.1:0',
      adminSocket: this.adminSocket,
      keyEncryptionKey: { file: kek },
      // The CA's own certificate is the only leaf: it is what the old root has to wait for.
      lifetimes: { root: '1h', issuing: '40s', x509Svid: '2s', nodeSvid: '2s', backdate: '1s' },
      jwt: { ttl: '1s', ttlMax: tokenMax },
      rotation: { automatic: false },
    });
  }

  /** Resolves when it answers, or when {@link kill} came first. */
  async start(): Promise<void> {
    const child = startChild({
      name: 'ca',
      directory: this.directory,
      script: signetScript,
      args: ['ca', 'run', '--config', this.#config],
    });
    this.#child = child;
    this.#killed = false;
    await waitFor('the CA answering', 30_000, async () => {
      if (this.#killed) return true;
      expect(child.ended()).toBeUndefined();
      await this.admin.status();
      return true;
    });
  }

  /** Sends the signal and does not wait; whether there was a process to get it. */
  kill(): boolean {
    this.#killed = true;
    return this.#child?.process.kill('SIGKILL') ?? false;
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await this.#child?.stop(signal);
  }

  /** Ends it and removes what it wrote. */
  async end(): Promise<void> {
    await this.stop('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Runs the `signet` command against its admin socket. */
  signet(...args: string[]): Promise<CommandResult> {
    return runSignet([...args, '--socket', this.adminSocket]);
  }
}
