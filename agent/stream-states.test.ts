import { expect, test } from 'vitest';
import { WatchSource } from '../core/index.ts';
import { settle } from '../test/fakes/manual-clock.ts';
import { streamStates } from './stream-states.ts';

/** A reader that takes a message only when told to. */
function slowReader() {
  const sent: number[] = [];
  let take = (): void => {};
  return {
    sent,
    take: () => take(),
    out: {
      send: (message: number) => sent.push(message) > 0,
      drained: () =>
        new Promise<void>((resolve) => {
          take = resolve;
        }),
    },
  };
}

test('a slow reader gets the newest state, not a queue of old ones', async () => {
  const watch = new WatchSource(1);
  const reader = slowReader();
  const ended = new AbortController();
  const running = streamStates(watch, reader.out, ended.signal, (state) => state);
  for (const state of [2, 3, 4]) watch.set(state);
  reader.take();
  await settle();
  expect(reader.sent).toEqual([1, 4]);
  reader.take();
  await settle();
  watch.set(5);
  await settle();
  expect(reader.sent).toEqual([1, 4, 5]);
  ended.abort();
  reader.take();
  await running;
});

test('a state with nothing to say sends nothing; one that throws ends the stream', async () => {
  const watch = new WatchSource(1);
  const reader = slowReader();
  const running = streamStates(watch, reader.out, new AbortController().signal, (state) => {
    if (state === 3) throw new Error('gone');
    return undefined;
  });
  const outcome = expect(running).rejects.toThrow('gone');
  await settle();
  expect(reader.sent).toEqual([]);
  watch.set(2);
  reader.take();
  await settle();
  watch.set(3);
  reader.take();
  await outcome;
});
