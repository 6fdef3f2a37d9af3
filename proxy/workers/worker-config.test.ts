import { expect, test } from 'vitest';
import { parseProxyConfig } from '../config.ts';
import { workerConfig } from './worker-config.ts';

test('every bound is divided among the workers, rounded up, and one that is not set stays so', () => {
  const listener = {
    plaintext: true,
    protocol: 'tcp',
    cluster: 'app',
    connectionsMax: 100,
  };
  const config = parseProxyConfig(
    JSON.stringify({
      node: { id: 'a' },
      workers: 3,
      accessLog: 'off',
      connectionsMax: 300,
      listeners: [
        { ...listener, name: 'a', address: '127.0.0.1:15001', connectionsPerSourceMax: 10 },
        { ...listener, name: 'b', address: '127.0.0.1:15002' },
      ],
      clusters: [{ name: 'app', endpoints: ['127.0.0.1:1'], connectionsMax: 2 }],
    }),
    'test.yaml',
  );
  const one = workerConfig(config);
  expect(one).toMatchObject({
    admin: { host: '127.0.0.1', port: 0 },
    connectionsMax: 100,
    listeners: [
      { connectionsMax: 34, connectionsPerSourceMax: 4, reusePort: true },
      { connectionsMax: 34, reusePort: true },
    ],
    clusters: [{ connectionsMax: 1 }],
  });
  expect(one.listeners[1]).not.toHaveProperty('connectionsPerSourceMax');
});
