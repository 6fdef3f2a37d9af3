/** How a connection ends, over real sockets with a clock that is turned by hand. */

import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { afterTurn, Scope } from '../../core/index.ts';
import { until } from '../../test/fakes/proxy-mesh.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { Connection } from './connection.ts';
import { Deadlines } from './deadlines.ts';
import { ReadMemory } from './read-memory.ts';
import { WriteTurn } from './write-turn.ts';

let scope = new Scope();
afterEach(async () => {
  await scope.close();
  scope = new Scope();
});

/** Both ends: ours as a connection, and the peer's as a socket that does not read. */
async function pairOfEnds(): Promise<{ ours: Connection; peer: Socket; clock: ManualClock }> {
  const clock = new ManualClock(0);
  const accepted = Promise.withResolvers<Socket>();
  const server = createServer({ allowHalfOpen: true }, accepted.resolve);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  peer.on('error', () => {});
  const socket = await accepted.promise;
  scope.onClose(() => {
    peer.destroy();
    socket.destroy();
    server.close();
  });
  const reads = new ReadMemory(() => {});
  const deps = { deadlines: new Deadlines(clock), writes: new WriteTurn(afterTurn), reads };
  return { ours: new Connection(socket, undefined, deps, undefined), peer, clock };
}

const size = 32 * 1024 * 1024;

test('what was written before the end reaches a reader that is slow, however long reading on lasts', async () => {
  const { ours, peer, clock } = await pairOfEnds();
  ours.write(Buffer.alloc(size));
  ours.endAndDiscard(60_000);
  await clock.advance(30_000);
  let received = 0;
  let isEnded = false;
  peer.on('data', (bytes) => {
    received += bytes.length;
  });
  peer.on('end', () => {
    isEnded = true;
  });
  await until(() => isEnded);
  expect(received).toBe(size);
});

test('a peer that takes nothing has only so long', async () => {
  const { ours, clock } = await pairOfEnds();
  ours.write(Buffer.alloc(size));
  let untaken = 0;
  let isOver = false;
  ours.endAndDiscard(60_000, {
    onUntaken: () => {
      untaken += 1;
    },
    onOver: () => {
      isOver = true;
    },
  });
  await clock.advance(59_000);
  expect(isOver).toBe(false);
  await clock.advance(2000);
  await until(() => ours.isClosed);
  expect({ untaken, isOver }).toEqual({ untaken: 1, isOver: true });
});

test('one that has taken everything and sends on is left soon', async () => {
  const { ours, peer, clock } = await pairOfEnds();
  ours.write(Buffer.from('answer'));
  let untaken = 0;
  let isOver = false;
  ours.endAndDiscard(60_000, {
    onUntaken: () => {
      untaken += 1;
    },
    onOver: () => {
      isOver = true;
    },
  });
  expect(isOver).toBe(false);
  peer.resume();
  await until(() => peer.readableEnded);
  await until(() => isOver);
  const beat = setInterval(() => void peer.write('.'), 5);
  scope.onClose(() => clearInterval(beat));
  expect(ours.isClosed).toBe(false);
  await clock.advance(5000);
  await until(() => ours.isClosed);
  expect(untaken).toBe(0);
});

test('where nothing waits there is nothing to be taken, and one that is closed takes nothing', async () => {
  const { ours, peer } = await pairOfEnds();
  let over = 0;
  const onOver = (): void => {
    over += 1;
  };
  ours.endAndDiscard(60_000, { onOver });
  expect(over).toBe(1);
  peer.end();
  peer.resume();
  await until(() => ours.isClosed);
  over = 0;
  ours.endAndDiscard(60_000, { onOver });
  expect(over).toBe(1);
});
