/** A server that answers as a kubelet and as an API server do, over TLS, to whoever has the right token. */

import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TestPki } from '../fakes/test-pki.ts';

export interface TestPod {
  readonly uid: string;
  readonly containerId: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export function testPod(name: string, labels: Readonly<Record<string, string>>): TestPod {
  return { uid: randomUUID(), containerId: randomBytes(32).toString('hex'), name, labels };
}

/** The cgroup that a kubelet with the cgroupfs driver puts a pod's container in. */
export function cgroupOf({ uid, containerId }: TestPod): string {
  return `/kubepods/burstable/pod${uid}/${containerId}`;
}

export class PodServer {
  token = 'first';
  pods: readonly TestPod[] = [];
  /** What was asked, without the watches. */
  lists: string[] = [];
  refused = 0;
  readonly #watches = new Set<ServerResponse>();
  readonly #server: Server;
  #version = 1;

  static async start(pki: TestPki): Promise<PodServer> {
    const leaf = await pki.issueLeaf({ id: '/kubelet', dnsNames: ['node.test'] });
    const server = new PodServer(createServer({ key: leaf.keyPem, cert: leaf.chainPem }));
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => this.#answer(request, response));
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `https://127.0.0.1:${port}`;
  }

  get watchCount(): number {
    return this.#watches.size;
  }

  tell(type: 'ADDED' | 'MODIFIED' | 'DELETED', pod: TestPod): void {
    this.#version += 1;
    const object = podObject(pod, String(this.#version));
    for (const watch of this.#watches) watch.write(`${JSON.stringify({ type, object })}\n`);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '', 'https://node.test');
    if (request.headers.authorization !== `Bearer ${this.token}`) {
      this.refused += 1;
      response.writeHead(401).end('Unauthorized');
      return;
    }
    if (url.searchParams.get('watch') === '1') {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      this.#watches.add(response);
      response.once('close', () => this.#watches.delete(response));
      return;
    }
    this.lists.push(`${url.pathname}${url.search}`);
    response.writeHead(200, { 'content-type': 'application/json' });
    const metadata = { resourceVersion: String(this.#version) };
    const items = this.pods.map((pod) => podObject(pod, '1'));
    response.end(JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata, items }));
  }
}

// The shape of a real one, without the many fields that nobody here reads.
function podObject(pod: TestPod, resourceVersion: string): object {
  return {
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: {
      name: pod.name,
      namespace: 'shop',
      uid: pod.uid,
      resourceVersion,
      creationTimestamp: '2026-11-01T08:00:00Z',
      labels: pod.labels,
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: 'web-5d4f8c7b9',
          uid: '0d9f0c1e-1111-4222-8333-444455556666',
          controller: true,
        },
      ],
    },
    spec: {
      nodeName: 'n1',
      serviceAccountName: 'web',
      containers: [{ name: 'app', image: 'example.test/web:1' }],
    },
    status: {
      phase: 'Running',
      containerStatuses: [
        {
          name: 'app',
          ready: true,
          image: 'example.test/web:1',
          imageID: `example.test/web@sha256:${'a'.repeat(64)}`,
          containerID: `containerd://${pod.containerId}`,
        },
      ],
    },
  };
}
