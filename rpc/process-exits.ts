/** Which of many processes have ended, in one system call however many they are (epoll(7) over pidfds). */

import { Buffer } from 'node:buffer';
import { closeSync } from 'node:fs';
import koffi from 'koffi';
import { descriptorOfProcess, type ProcessHandle } from './peer-credentials.ts';

export interface ProcessExits {
  add(process: ProcessHandle): void;
  remove(process: ProcessHandle): void;
  /** Those that ended since the last call; each is told once. */
  take(): readonly ProcessHandle[];
  close(): void;
}

export function createProcessExits(): ProcessExits {
  let epoll: { readonly calls: EpollCalls; readonly descriptor: number } | undefined;
  const byDescriptor = new Map<number, ProcessHandle>();
  const descriptors = new Map<ProcessHandle, number>();
  // Handles that are no pidfd of ours are asked one by one.
  const others = new Set<ProcessHandle>();
  const event = Buffer.alloc(eventBytes);
  const events = Buffer.alloc(eventBytes * takenMax);

  const add = (process: ProcessHandle): void => {
    const descriptor = descriptorOfProcess(process);
    epoll ??= openEpoll();
    event.writeUInt32LE(epollIn, 0);
    if (descriptor !== undefined) event.writeInt32LE(descriptor, eventDataOffset);
    if (
      descriptor === undefined ||
      epoll === undefined ||
      epoll.calls.epoll_ctl(epoll.descriptor, epollAdd, descriptor, event) !== 0
    ) {
      others.add(process);
      return;
    }
    byDescriptor.set(descriptor, process);
    descriptors.set(process, descriptor);
  };
  const remove = (process: ProcessHandle): void => {
    others.delete(process);
    const descriptor = descriptors.get(process);
    descriptors.delete(process);
    if (descriptor === undefined || byDescriptor.get(descriptor) !== process) return;
    byDescriptor.delete(descriptor);
    // Once released it has left by itself, and the number may mean another already.
    if (descriptorOfProcess(process) === undefined) return;
    epoll?.calls.epoll_ctl(epoll.descriptor, epollDelete, descriptor, event);
  };
  return {
    add,
    remove,
    take() {
      const ended = Array.from(others).filter((process) => !process.alive());
      if (epoll !== undefined && byDescriptor.size > 0) {
        const count = epoll.calls.epoll_wait(epoll.descriptor, events, takenMax, 0);
        for (let index = 0; index < count; index += 1) {
          const process = byDescriptor.get(
            events.readInt32LE(index * eventBytes + eventDataOffset),
          );
          if (process !== undefined) ended.push(process);
        }
      }
      for (const process of ended) remove(process);
      return ended;
    },
    close() {
      if (epoll !== undefined) closeSync(epoll.descriptor);
      epoll = undefined;
      byDescriptor.clear();
      descriptors.clear();
      others.clear();
    },
  };
}

interface EpollCalls {
  epoll_create1(flags: number): number;
  epoll_ctl(epoll: number, operation: number, descriptor: number, event: Buffer): number;
  epoll_wait(epoll: number, events: Buffer, count: number, timeoutMs: number): number;
}

function openEpoll(): { readonly calls: EpollCalls; readonly descriptor: number } | undefined {
  const libc = koffi.load(null);
  const calls = {
    epoll_create1: libc.func('int epoll_create1(int)') as EpollCalls['epoll_create1'],
    epoll_ctl: libc.func('int epoll_ctl(int, int, int, void*)') as EpollCalls['epoll_ctl'],
    epoll_wait: libc.func('int epoll_wait(int, void*, int, int)') as EpollCalls['epoll_wait'],
  };
  const descriptor = calls.epoll_create1(closeOnExec);
  return descriptor < 0 ? undefined : { calls, descriptor };
}

const epollIn = 1;
const epollAdd = 1;
const epollDelete = 2;
const closeOnExec = 0o2000000;
// epoll_event is packed on x86-64 alone.
const eventBytes = process.arch === 'x64' ? 12 : 16;
const eventDataOffset = process.arch === 'x64' ? 4 : 8;
// The rest is told by the next call.
const takenMax = 256;
