/** A plain sidecar before a server that answers by a script, and one exchange with it byte by byte. */

import type { Socket } from 'node:net';
import { type ProxyMesh, RawClient, scripted } from './proxy-mesh.ts';

export interface ScriptedProxy {
  readonly port: number;
  /** The heads that the server was sent, as they came. */
  readonly heads: string[];
  readonly sockets: Socket[];
  readonly stats: () => Promise<Record<string, number>>;
}

/** A proxy before a server that answers each head with what `answer` gives. */
export async function proxyBefore(
  mesh: ProxyMesh,
  answer: (head: string, socket: Socket) => string,
  timeouts: Record<string, string> = {},
): Promise<ScriptedProxy> {
  const heads: string[] = [];
  const app = await mesh.server(
    scripted((head, socket) => {
      heads.push(head);
      return answer(head, socket);
    }),
  );
  const sidecar = await mesh.plain(app.port, { timeouts });
  return {
    port: sidecar.inPort,
    heads,
    sockets: app.sockets,
    stats: async () => (await sidecar.stats()).listeners['in'] ?? {},
  };
}

/** Sends `text` and reads to the end. */
export async function exchange(port: number, text: string): Promise<string> {
  const client = new RawClient(port);
  client.send(text);
  const answer = await client.readAll();
  client.close();
  return answer;
}
