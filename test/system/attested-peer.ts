/** Starts `attested_peer.py`: a real process that connects, and whose connection the test speaks on. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { lacks } from '../programs.ts';

export class AttestedPeer {
  readonly child: ChildProcess;
  /** Where clients of the test connect, to speak as this process. */
  readonly socket: string;
  readonly #lines: AsyncIterator<string>;

  /** `wrapper` is a command that runs it, such as `unshare`. `closed` says that the agent hung up. */
  static async start(
    agentSocket: string,
    directory: string,
    wrapper: readonly string[] = [],
  ): Promise<{ readonly peer: AttestedPeer; readonly greeting: string }> {
    count += 1;
    const socket = join(directory, `peer-${count}.sock`);
    const [command, ...args] = [...wrapper, pythonPath, script, agentSocket, socket];
    const child = spawn(command ?? pythonPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const peer = new AttestedPeer(child, socket);
    return { peer, greeting: await peer.#line() };
  }

  private constructor(child: ChildProcess, socket: string) {
    this.child = child;
    this.socket = socket;
    if (child.stdout === null) throw new Error('no standard output');
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  become(path: string, ...args: readonly string[]): void {
    this.#tell(`exec ${[path, ...args].join(' ')}`);
  }

  async exit(): Promise<void> {
    const gone = once(this.child, 'exit');
    this.#tell('exit');
    await gone;
  }

  async moveTo(cgroup: string): Promise<void> {
    this.#tell(`cgroup ${cgroup}`);
    await this.#line();
  }

  /** The child that carries the bytes ends when the agent hangs up. */
  end(): void {
    this.child.stdin?.destroy();
    this.child.kill('SIGKILL');
  }

  #tell(command: string): void {
    this.child.stdin?.write(`${command}\n`);
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    return done === true ? '' : value;
  }
}

/** The program itself: what `python3` names may be a script that finds it. Empty where there is none. */
export const pythonPath = lacks('python3')
  ? ''
  : execFileSync('python3', ['-c', 'import os; print(os.readlink("/proc/self/exe"))'], {
      encoding: 'utf8',
    }).trim();
const script = fileURLToPath(new URL('attested_peer.py', import.meta.url));
let count = 0;
