import { Buffer } from 'node:buffer';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { afterTurn, systemClock } from '../../core/index.ts';
import { until } from '../../test/fakes/proxy-mesh.ts';
import { Connection, type ConnectionListener } from './connection.ts';
import type { ConnectionClosed } from './connection-observer.ts';
import { Deadlines } from './deadlines.ts';
import { ReadMemory } from './read-memory.ts';
import { WriteTurn } from './write-turn.ts';

const open: { destroy(): void }[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.destroy();
});

/** A connection and the socket at its other end. `turns` counts the ends of turns that were asked for. */
async function pair(): Promise<{ connection: Connection; far: Socket; turns: () => number }> {
  let turns = 0;
  const writes = new WriteTurn((action) => {
    turns += 1;
    afterTurn(action);
  });
  const reads = new ReadMemory(() => {});
  const deps = { deadlines: new Deadlines(systemClock), writes, reads };
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const { port } = server.address() as AddressInfo;
  const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const near = await accepted;
  server.close();
  open.push(far, near);
  const connection = new Connection(near, undefined, deps, undefined);
  return { connection, far, turns: () => turns };
}

/** Remembers what it was told. */
class Recorder implements ConnectionListener {
  text = '';
  drains = 0;
  ends = 0;
  closes = 0;
  onData(bytes: Buffer): void {
    this.text += bytes.toString('latin1');
  }
  onDrain(): void {
    this.drains += 1;
  }
  onEnd(): void {
    this.ends += 1;
  }
  onDeadline(): void {}
  onClose(): void {
    this.closes += 1;
  }
}

function textOf(socket: Socket): { text: string; isEnded: boolean } {
  const got = { text: '', isEnded: false };
  socket.on('data', (bytes: Buffer) => {
    got.text += bytes.toString('latin1');
  });
  socket.on('end', () => {
    got.isEnded = true;
  });
  return got;
}

test('the writes of one turn leave in order, together, at its end', async () => {
  const { connection, far, turns } = await pair();
  const got = textOf(far);
  for (const part of ['one ', 'two ', 'three'])
    expect(connection.write(Buffer.from(part))).toBe(true);
  expect(connection.bytesSent).toBe(0);
  expect(turns()).toBe(1);
  await until(() => got.text.length === 13);
  expect(got.text).toBe('one two three');
  expect(connection.bytesSent).toBe(13);
});

test('a half-close goes out behind what was written, and reading goes on', async () => {
  const { connection, far } = await pair();
  const got = textOf(far);
  const recorder = new Recorder();
  connection.attach(recorder);
  connection.write(Buffer.from('last'));
  connection.end();
  // Nothing follows an end.
  connection.write(Buffer.from('never'));
  await until(() => got.isEnded);
  expect(got.text).toBe('last');
  far.end('answer');
  await until(() => recorder.closes === 1);
  expect(recorder).toMatchObject({ text: 'answer', ends: 1 });
  expect(connection.bytesReceived).toBe(6);
});

test('who writes past the high mark is asked to wait, and told once when there is room', async () => {
  const { connection, far } = await pair();
  far.pause();
  const recorder = new Recorder();
  connection.attach(recorder);
  const piece = Buffer.alloc(64 * 1024);
  let written = 0;
  // Until the kernel on both sides takes no more either.
  while (connection.write(piece) || (await drained(recorder))) written += piece.length;
  written += piece.length;
  const before = recorder.drains;
  expect(connection.write(piece)).toBe(false);
  written += piece.length;
  let read = 0;
  far.on('data', (bytes: Buffer) => {
    read += bytes.length;
  });
  far.resume();
  await until(() => read === written);
  await until(() => recorder.drains > before);
  expect(recorder.drains).toBe(before + 1);
});

test('what waits when a connection is destroyed is dropped', async () => {
  const { connection, far } = await pair();
  const got = textOf(far);
  const recorder = new Recorder();
  connection.attach(recorder);
  connection.write(Buffer.from('late'));
  connection.destroy('enough');
  await until(() => recorder.closes === 1 && got.isEnded);
  expect(got.text).toBe('');
});

describe('what is put back', () => {
  test('reaches the next listener first, once, with what comes behind it and then the end', async () => {
    const { connection, far } = await pair();
    const first = new Recorder();
    connection.attach(first);
    far.write('one ');
    await until(() => first.text === 'one ');
    connection.putBack(Buffer.from(first.text));
    far.end('two');
    const second = new Recorder();
    // Nobody is given anything as long as nobody is there.
    await new Promise<void>((resolve) => setTimeout(resolve, 20));
    connection.attach(second);
    expect(second.text).toBe('');
    await until(() => second.ends === 1);
    expect(second.text).toBe('one two');
    expect(first).toMatchObject({ text: 'one ', ends: 0 });
  });

  test('is followed by an end that came before it was put back', async () => {
    const { connection, far } = await pair();
    const first = new Recorder();
    connection.attach(first);
    far.end('all');
    await until(() => first.ends === 1);
    connection.putBack(Buffer.from(first.text));
    const second = new Recorder();
    connection.attach(second);
    await until(() => second.ends === 1);
    expect(second.text).toBe('all');
  });
});

/** Whether a drain comes within a few turns: while the kernel still takes bytes it comes at once. */
async function drained(recorder: Recorder): Promise<boolean> {
  const before = recorder.drains;
  for (let turn = 0; turn < 20 && recorder.drains === before; turn += 1) {
    await new Promise<void>((resolve) => setTimeout(resolve, 1));
  }
  return recorder.drains > before;
}

describe('how it ended', () => {
  test.for([
    ['ended', 'both sides end', 11],
    ['reset', 'the peer breaks off', 11],
    ['dropped', 'we drop it', 11],
  ] as const)('%s: %s', async ([end, , bytesReceived]) => {
    const { connection, far } = await pair();
    const closed: ConnectionClosed[] = [];
    connection.observer = { onClosed: (how) => void closed.push(how) };
    const recorder = new Recorder();
    connection.attach(recorder);
    far.on('error', () => {});
    far.resume();
    far.write('hello there');
    connection.write(Buffer.from('hi'));
    await until(() => recorder.text.length === 11 && connection.bytesSent === 2);
    if (end === 'ended') {
      far.end();
      connection.end();
    } else if (end === 'reset') {
      far.resetAndDestroy();
    } else {
      connection.destroy('of no more use');
    }
    await until(() => closed.length > 0);
    expect(closed).toMatchObject([{ end, bytesReceived, bytesSent: 2 }]);
    expect(closed[0]?.reason).toEqual(
      { ended: undefined, reset: expect.any(String), dropped: 'of no more use' }[end],
    );
    // The listener was told first, and once.
    expect(recorder.closes).toBe(1);
  });
});
