import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { noBody, noParams, noQuery } from '../../api/index.ts';
import { type Closable, silentLogger, systemRandom } from '../../core/index.ts';
import { hostileTargets, statusLineOf } from '../../test/fakes/hostile-targets.ts';
import { serveOnSocket } from './http-server.ts';

const directory = mkdtempSync(join(tmpdir(), 'admin-'));
const path = join(directory, 'admin.sock');
const ended: string[] = [];
let server: Closable;
beforeAll(async () => {
  const operation = {
    id: 'look',
    method: 'GET',
    path: '/look',
    summary: 'Looks.',
    resource: 'looks',
    verb: 'read',
    params: noParams,
    query: noQuery,
    body: noBody,
    answer: z.string(),
  } as const;
  server = await serveOnSocket(path, {
    routes: [{ operation, answer: async () => ({ body: 'seen' }) }],
    random: systemRandom,
    log: silentLogger,
    onEnd: (id, outcome) => ended.push(`${id} ${outcome}`),
  });
});
afterAll(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

test.each(hostileTargets)('%s is refused, and the next request is served', async (target) => {
  ended.length = 0;
  expect(await statusLineOf({ path }, target)).toBe('HTTP/1.1 400 Bad Request');
  expect(await statusLineOf({ path }, '/look')).toBe('HTTP/1.1 200 OK');
  expect(ended).toContain('look ok');
});

test('a caller that has ended is refused: its number may be another’s by now', async () => {
  ended.length = 0;
  const script = `const s = require('net').connect(${JSON.stringify(path)}, () =>
    s.write('GET /look HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n', () => process.exit()));`;
  // This process accepts nothing while it waits for the other to end.
  spawnSync(process.execPath, ['-e', script]);
  expect(await statusLineOf({ path }, '/look')).toBe('HTTP/1.1 200 OK');
  expect(ended).toEqual(['none admin_peer', 'look ok']);
});
