/** Connect through a pair of sidecars while certificates rotate: by gRPC-Web, by gRPC and by its own protocol. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  connectWordsClient,
  grpcWordsClient,
  startConnectServer,
  startWordsServer,
  type WordsClient,
  wordsClient,
} from '../fakes/grpc-web-peers.ts';
import { ProxyMesh } from '../fakes/proxy-mesh.ts';
import { whileRotating } from '../fakes/rotating-pair.ts';

let mesh: ProxyMesh;
/** To a server of grpc-js, which knows gRPC alone. */
let grpcPort: number;
let connectPorts: { readonly http1: number; readonly http2: number };
beforeAll(async () => {
  mesh = await ProxyMesh.start();
  grpcPort = (await startWordsServer(mesh.scope)).port;
  connectPorts = await startConnectServer(mesh.scope);
});
afterAll(() => mesh.close());

const http2All = { between: 'http2', upstream: 'http2' } as const;

test.for([
  ['gRPC-Web over HTTP/1.1', (port: number) => wordsClient(port, '1.1')],
  ['gRPC-Web over HTTP/2', (port: number) => wordsClient(port, '2')],
  ['gRPC', (port: number) => grpcWordsClient(port)],
] as const)('%s: unary calls and streams, at every certificate', async ([, clientOf]) => {
  const pair = await mesh.pair(grpcPort, { ...http2All, protocol: 'auto', grpcWeb: true });
  await callWhileRotating(pair, clientOf(pair.port));
});

test.for([
  ['HTTP/1.1', '1.1', 'http1'],
  ['HTTP/2', '2', 'http2'],
] as const)('Connect’s own protocol over %s: the same', async ([, version, between]) => {
  const pair = await mesh.pair(connectPorts[between], {
    protocol: 'auto',
    between,
    upstream: between,
  });
  await callWhileRotating(pair, connectWordsClient(pair.port, version));
});

/** No call fails, whichever certificate it meets. */
async function callWhileRotating(
  pair: Awaited<ReturnType<ProxyMesh['pair']>>,
  client: WordsClient,
): Promise<void> {
  const rounds = await whileRotating(
    mesh,
    pair,
    async () => {
      expect((await client.say({ value: 'hello' })).value).toBe('said hello');
      const heard: string[] = [];
      for await (const { value } of client.count({ value: '20' })) heard.push(value);
      expect(heard).toEqual(Array.from({ length: 20 }, (_, at) => String(at + 1)));
    },
    3,
  );
  expect(rounds).toBeGreaterThan(3);
}
