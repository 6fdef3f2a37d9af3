/**
 * Who is at the other end of a Unix socket, from the kernel: `SO_PEERCRED` and `SO_PEERPIDFD` (unix(7)).
 *
 * The pidfd is held for as long as the connection lives. A pid can be given to another process the moment
 * its owner dies; a pidfd never means another process, so asking it is the proof that what `/proc/<pid>`
 * said was said of the caller.
 */

import { Buffer } from 'node:buffer';
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import koffi from 'koffi';
import { CodedError } from '../core/index.ts';
import { readProcessImage } from './process-image.ts';
import { descriptorOf, readSocketOption } from './socket-option.ts';

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export type PeerCredentialsErrorCode =
  | 'peer_socket'
  | 'peer_credentials'
  | 'peer_invisible'
  | 'peer_gone';

export class PeerCredentialsError extends CodedError<PeerCredentialsErrorCode> {
  override readonly name = 'PeerCredentialsError';
  override readonly kind = 'unauthenticated';
}

/** A held reference to one process. `undefined` where the kernel (before 6.5) cannot give one. */
export interface ProcessHandle {
  /** False once the process has ended; never true for a later process with the same pid. */
  alive(): boolean;
  /** True once it runs another program than when this handle was made: an identity is not handed on by execve(2). */
  replaced(): boolean;
  release(): void;
}

/** Throws {@link PeerCredentialsError} if the kernel does not say, or if the peer is in a foreign pid namespace. */
export function readPeerCredentials(socket: Socket): PeerCredentials {
  const credentials = Buffer.alloc(12);
  if (
    readSocketOption(openDescriptorOf(socket), solSocket, soPeerCred, credentials) !==
    credentials.length
  ) {
    throw new PeerCredentialsError(
      'peer_credentials',
      `no peer credentials: errno ${koffi.errno()}`,
    );
  }
  const pid = credentials.readInt32LE(0);
  if (pid === 0) {
    throw new PeerCredentialsError(
      'peer_invisible',
      'the caller is in a pid namespace not visible from here',
      {
        remedy: 'run the agent in the host pid namespace',
      },
    );
  }
  return { pid, uid: credentials.readUInt32LE(4), gid: credentials.readUInt32LE(8) };
}

/**
 * A handle on the process that connected, or undefined on a kernel without `SO_PEERPIDFD`.
 * Throws {@link PeerCredentialsError} as {@link readPeerCredentials}, and if the process has ended already.
 */
export function openPeerProcess(socket: Socket): ProcessHandle | undefined {
  const { pid } = readPeerCredentials(socket);
  const value = Buffer.alloc(4);
  if (readSocketOption(openDescriptorOf(socket), solSocket, soPeerPidfd, value) !== value.length) {
    if (koffi.errno() === notSupported) return undefined;
    // Without a handle another process with this pid would pass for it.
    throw new PeerCredentialsError('peer_gone', `process ${pid} ended after it connected`);
  }
  return handleOf(pid, value.readInt32LE(0));
}

/**
 * A handle on a process by its number, for whoever asks about one that has not connected; release it.
 * Throws {@link PeerCredentialsError} `peer_gone` if there is none, or if it is a thread of another.
 */
export function openProcess(pid: number): ProcessHandle {
  const pidfd = native().syscall(pidfdOpenCall, pid, 0);
  if (pidfd < 0) throw new PeerCredentialsError('peer_gone', `there is no process ${pid}`);
  return handleOf(pid, pidfd);
}

function handleOf(pid: number, pidfd: number): ProcessHandle {
  const image = readProcessImage(pid);
  let released = false;
  const handle: ProcessHandle = {
    alive() {
      if (released) return false;
      const poll = Buffer.alloc(8);
      poll.writeInt32LE(pidfd, 0);
      poll.writeInt16LE(pollIn, 4);
      // pidfd_open(2): a pidfd becomes readable when its process ends.
      return native().poll(poll, 1, 0) === 0;
    },
    replaced: () => readProcessImage(pid) !== image,
    release() {
      if (released) return;
      released = true;
      descriptors.delete(handle);
      closeSync(pidfd);
    },
  };
  descriptors.set(handle, pidfd);
  return handle;
}

/** The pidfd behind a handle of {@link openPeerProcess} that is not yet released. */
export function descriptorOfProcess(process: ProcessHandle): number | undefined {
  return descriptors.get(process);
}

function openDescriptorOf(socket: Socket): number {
  const descriptor = descriptorOf(socket);
  if (descriptor !== undefined) return descriptor;
  throw new PeerCredentialsError(
    'peer_socket',
    'the connection has no descriptor (already closed)',
  );
}

interface Native {
  poll(descriptors: Buffer, count: number, timeoutMs: number): number;
  syscall(call: number, first: number, second: number): number;
}

let loaded: Native | undefined;

// Loaded on first use, so that commands which never look at a socket do not pay for it.
function native(): Native {
  if (loaded === undefined) {
    const libc = koffi.load(null);
    loaded = {
      poll: libc.func('int poll(void*, unsigned long, int)') as Native['poll'],
      // Not every C library has a function for pidfd_open(2).
      syscall: libc.func('long syscall(long, int, unsigned int)') as Native['syscall'],
    };
  }
  return loaded;
}

// Beside the handles and not in them, so that no one outside this room can close one.
const descriptors = new WeakMap<ProcessHandle, number>();

const solSocket = 1;
const soPeerCred = 17;
const soPeerPidfd = 77;
// ENOPROTOOPT: the kernel does not know the option.
const notSupported = 92;
const pollIn = 1;
// The same number on every architecture.
const pidfdOpenCall = 434;
