import { expect, test } from 'vitest';
import { type Flushable, WriteTurn } from './write-turn.ts';

/** Turns of a loop that the test ends by hand. */
class Turns {
  readonly #actions: (() => void)[] = [];
  readonly after = (action: () => void): void => {
    this.#actions.push(action);
  };
  get owed(): number {
    return this.#actions.length;
  }
  end(): void {
    for (const action of this.#actions.splice(0)) action();
  }
}

function member(name: string, log: string[], then?: () => void): Flushable {
  return {
    flushNow() {
      log.push(name);
      then?.();
    },
  };
}

test('members are flushed once each, in order, at the end of the turn and not before', () => {
  const turns = new Turns();
  const writes = new WriteTurn(turns.after);
  const log: string[] = [];
  writes.add(member('a', log));
  writes.add(member('b', log));
  expect(log).toEqual([]);
  expect(turns.owed).toBe(1);
  turns.end();
  expect(log).toEqual(['a', 'b']);
  turns.end();
  expect(log).toEqual(['a', 'b']);
});

test('what a flush brings about waits for the next turn', () => {
  const turns = new Turns();
  const writes = new WriteTurn(turns.after);
  const log: string[] = [];
  const again = member('again', log);
  writes.add(member('first', log, () => writes.add(again)));
  turns.end();
  expect(log).toEqual(['first']);
  expect(turns.owed).toBe(1);
  turns.end();
  expect(log).toEqual(['first', 'again']);
});
