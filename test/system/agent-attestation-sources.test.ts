/** What attestors ask of servers that are slow, broken or too talkative. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { getJson, type HttpTarget, linesOf } from '../../agent/workload/http-source.ts';
import { createApiServerPods } from '../../agent/workload/k8s/api-server-pods.ts';
import { createKubeletPods } from '../../agent/workload/k8s/kubelet-pods.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { eventually } from '../fakes/eventually.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function serve(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<HttpTarget> {
  const server: Server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const { port } = server.address() as AddressInfo;
  return { kind: 'url', url: new URL(`http://127.0.0.1:${port}`) };
}

const never = new AbortController().signal;
const id = 'c'.repeat(64);
const pod = (version: string, label = 'web'): object => ({
  metadata: {
    uid: 'u1',
    name: 'p',
    namespace: 'n',
    resourceVersion: version,
    labels: { app: label },
  },
  spec: { nodeName: 'n1' },
  status: { containerStatuses: [{ name: 'c', containerID: `containerd://${id}` }] },
});
const list = (version: string, items: readonly object[]): string =>
  JSON.stringify({ kind: 'PodList', metadata: { resourceVersion: version }, items });

test.for([
  ['an answer', 200, '{"a":1}', { a: 1 }],
  ['nothing there', 404, 'no', undefined],
] as const)('%s is a value', async ([, status, text, expected]) => {
  const target = await serve((_request, response) => response.writeHead(status).end(text));
  expect(await getJson(target, '/x', never)).toEqual(expected);
});

test.for([
  ['refused', (response: ServerResponse) => response.writeHead(403).end('no'), 'status 403'],
  ['not JSON', (response: ServerResponse) => response.end('<html>'), 'is not JSON'],
  [
    'cut off',
    (response: ServerResponse) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{', () => response.destroy());
    },
    'aborted',
  ],
  [
    'without an end',
    (response: ServerResponse) => {
      const chunk = Buffer.alloc(4 * 1024 * 1024, 32);
      const more = (): void => {
        if (!response.destroyed) response.write(chunk, () => setImmediate(more));
      };
      more();
    },
    'too large',
  ],
] as const)('an answer that is %s is an error that says so', async ([, answer, reason]) => {
  const target = await serve((_request, response) => void answer(response));
  await expect(getJson(target, '/x', never)).rejects.toThrow(reason);
});

test('a server that does not answer is left when the time is up', async () => {
  const target = await serve(() => {});
  await expect(getJson(target, '/x', AbortSignal.timeout(50))).rejects.toMatchObject({
    code: 'attestor_unavailable',
  });
});

test('a line without an end is not kept', async () => {
  const chunks = async function* () {
    yield Buffer.from('{"a":1}\n{"b"');
    yield Buffer.from(':2}\n');
    for (;;) yield Buffer.alloc(1024 * 1024, 32);
  };
  const target = { kind: 'unix', path: '/x' } as const;
  const seen: string[] = [];
  const read = async (): Promise<void> => {
    for await (const line of linesOf(target, chunks())) seen.push(line);
  };
  await expect(read()).rejects.toThrow('a line is too long');
  expect(seen).toEqual(['{"a":1}', '{"b":2}']);
});

test('a watch goes on from where it was, and after 410 Gone from a new list', async () => {
  const asked: string[] = [];
  const watches: ServerResponse[] = [];
  let gone = false;
  const target = await serve((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    const isWatch = url.searchParams.get('watch') === '1';
    asked.push(isWatch ? `watch ${url.searchParams.get('resourceVersion')}` : 'list');
    if (!isWatch) response.end(list(gone ? '20' : '10', [pod(gone ? '20' : '10')]));
    else if (gone && url.searchParams.get('resourceVersion') !== '20') {
      response.writeHead(410).end('{}');
    } else {
      response.flushHeaders();
      watches.push(response);
    }
  });
  const [clock, random, log] = [systemClock, systemRandom, silentLogger];
  const pods = createApiServerPods({ target, nodeName: 'n1', clock, random, log });
  closers.push(() => pods.close());
  const label = async (): Promise<unknown> =>
    (await pods.find(id, never))?.pod.labels.find(([name]) => name === 'app')?.[1];
  expect(await label()).toBe('web');
  let changes = 0;
  closers.push(async () => stop());
  const stop = pods.subscribe('u1', () => {
    changes += 1;
  });

  await eventually(() => expect(watches).toHaveLength(1));
  watches[0]?.write(`${JSON.stringify({ type: 'MODIFIED', object: pod('11', 'db') })}\n`);
  await eventually(async () => expect(await label()).toBe('db'));
  watches[0]?.write(
    `${JSON.stringify({ type: 'BOOKMARK', object: { kind: 'Pod', metadata: { resourceVersion: '15' } } })}\n`,
  );
  watches[0]?.end();
  await eventually(() => expect(watches).toHaveLength(2));
  gone = true;
  watches[1]?.end();
  await eventually(() => expect(watches).toHaveLength(3));
  expect(asked).toEqual(['list', 'watch 10', 'watch 15', 'watch 15', 'list', 'watch 20']);
  expect(await label()).toBe('web');
  expect(changes).toBe(2);
});

test('while the API server is away, what is known stays, and what is not is an error', async () => {
  let away = false;
  const target = await serve((request, response) => {
    if (away) response.writeHead(503).end('away');
    else if (request.url?.includes('watch=1') === true) response.end();
    else response.end(list('10', [pod('10')]));
  });
  const [clock, random, log] = [systemClock, systemRandom, silentLogger];
  const pods = createApiServerPods({ target, nodeName: 'n1', clock, random, log });
  closers.push(() => pods.close());
  expect((await pods.find(id, never))?.pod.name).toBe('p');
  expect(await pods.find('d'.repeat(64), never)).toBeUndefined();
  away = true;
  await eventually(() => expect(pods.find('d'.repeat(64), never)).rejects.toThrow('503'));
  expect((await pods.find(id, never))?.pod.name).toBe('p');
});

test('a list of long ago, when nobody watched, gives no identity', async () => {
  let role = 'payments';
  const target = await serve((_request, response) => {
    response.end(list('', [pod('1', role)]));
  });
  const pods = createKubeletPods({ target, clock: systemClock, log: silentLogger, refreshMs: 300 });
  closers.push(() => pods.close());
  const found = async () => (await pods.find(id, never))?.pod.labels;
  expect(await found()).toEqual([['app', 'payments']]);
  role = 'none';
  // Of a moment ago it is good enough.
  expect(await found()).toEqual([['app', 'payments']]);
  await eventually(async () => expect(await found()).toEqual([['app', 'none']]));
});

test('the kubelet is asked once for many, and again only while somebody holds an identity', async () => {
  let asked = 0;
  const target = await serve((_request, response) => {
    asked += 1;
    response.end(list('', [pod('1', asked < 3 ? 'web' : 'db')]));
  });
  const pods = createKubeletPods({ target, clock: systemClock, log: silentLogger, refreshMs: 20 });
  closers.push(() => pods.close());
  const found = await Promise.all(Array.from({ length: 100 }, () => pods.find(id, never)));
  expect(found.every((each) => each?.pod.uid === 'u1')).toBe(true);
  expect(asked).toBe(1);
  let changed = false;
  const stop = pods.subscribe('u1', () => {
    changed = true;
  });
  await eventually(() => expect(changed).toBe(true));
  stop();
  expect((await pods.find(id, never))?.pod.labels).toEqual([['app', 'db']]);
});
