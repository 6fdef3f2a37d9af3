import { PassThrough, Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { ManualClock } from '../test/fakes/manual-clock.ts';
import { type AccessRecord, createAccessLog } from './access-log.ts';

const record: AccessRecord = {
  listener: 'in',
  method: 'GET',
  path: '/a"b',
  status: 200,
  requestBytes: 0,
  responseBytes: 5,
  durationMs: 1.23456,
  peer: 'spiffe://mesh.test/web',
  upstream: '127.0.0.1:8080',
  requestId: 'x"y',
  fault: undefined,
};

test('a line is JSON, and lines are written together', async () => {
  const clock = new ManualClock(Date.UTC(2026, 0, 1));
  const out = new PassThrough();
  const writes: string[] = [];
  out.on('data', (bytes: Buffer) => writes.push(bytes.toString()));
  const log = createAccessLog(out, clock);
  log.write(record);
  log.write({ ...record, fault: 'lost\n' });
  expect(writes).toEqual([]);
  await clock.advance(200);
  expect(writes).toHaveLength(1);
  const lines = (writes[0] ?? '').trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    {
      time: '2026-01-01T00:00:00.000Z',
      path: '/a"b',
      status: 200,
      durationMs: 1.235,
      requestId: 'x"y',
    },
    { fault: 'lost\n' },
  ]);
});

test('a destination that takes nothing costs lines and not memory, and closing does not wait for it', async () => {
  const clock = new ManualClock(0);
  const stuck = new Writable({ write() {}, highWaterMark: 1 });
  const log = createAccessLog(stuck, clock);
  const long = { ...record, path: `/${'x'.repeat(100_000)}` };
  for (let count = 0; count < 100; count += 1) {
    log.write(long);
    await clock.advance(200);
  }
  expect(log.dropped()).toBeGreaterThan(40);
  expect(stuck.writableLength).toBeLessThan(5 * 1024 * 1024);
  await log.close();
});

test('what is left is written at the end', async () => {
  const out = new PassThrough();
  const log = createAccessLog(out, new ManualClock(0));
  log.write(record);
  await log.close();
  expect(String(out.read())).toContain('"status":200');
});
