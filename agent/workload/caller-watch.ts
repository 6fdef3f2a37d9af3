/** Looks after attested connections: at once for processes that end, in turns for what else may change. */

import type { Clock, Closable, Timer } from '../../core/index.ts';
import { createProcessExits, type ProcessHandle } from '../../rpc/index.ts';
import type { AttestedCaller } from './attested-caller.ts';
import { whenClosed } from './when-closed.ts';

export interface CallerWatch extends Closable {
  add(attested: AttestedCaller): void;
}

export function createCallerWatch(clock: Clock): CallerWatch {
  const exits = createProcessExits();
  const byProcess = new Map<ProcessHandle, AttestedCaller>();
  // In the order of their turns, with when each was looked at last.
  const turns = new Map<AttestedCaller, number>();
  let timer: Timer | undefined;
  let closed = false;

  const leave = (attested: AttestedCaller): void => {
    turns.delete(attested);
    const { process } = attested.caller;
    if (process !== undefined && byProcess.delete(process)) exits.remove(process);
  };
  const tick = (): void => {
    timer = undefined;
    for (const process of exits.take()) {
      const attested = byProcess.get(process);
      if (attested === undefined) continue;
      leave(attested);
      attested.end('the process has ended');
    }
    const nowMs = clock.monotonicMs();
    for (const [attested, lookedMs] of Array.from(first(turns, looksPerTickMax))) {
      if (nowMs - lookedMs < lookEveryMs) break;
      turns.delete(attested);
      if (attested.ended) continue;
      turns.set(attested, nowMs);
      // It does not reject.
      void attested.check();
    }
    wait();
  };
  const wait = (): void => {
    // Without connections nothing wakes the agent.
    if (!closed && timer === undefined && turns.size > 0) timer = clock.after(tickMs, tick);
  };
  return {
    add(attested) {
      const { caller } = attested;
      if (closed || caller.closed.aborted) return;
      turns.set(attested, clock.monotonicMs());
      if (caller.process !== undefined) {
        byProcess.set(caller.process, attested);
        exits.add(caller.process);
      }
      whenClosed(caller.closed, () => leave(attested));
      wait();
    },
    async close() {
      closed = true;
      timer?.cancel();
      exits.close();
    },
  };
}

function* first<T>(values: Iterable<T>, count: number): Iterable<T> {
  let left = count;
  for (const value of values) {
    if (left <= 0) return;
    left -= 1;
    yield value;
  }
}

// "At once" for a process that ended; one system call, however many connections there are.
const tickMs = 100;
// A look reads a few small files of the kernel: about 0.2 ms. With 10 a tick it takes 2 % of a core at most,
// and a thousand connections are each looked at every ten seconds.
const looksPerTickMax = 10;
const lookEveryMs = 2_000;
