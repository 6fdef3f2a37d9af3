/** Who makes an admin call: the kernel says so, per connection. */

import type { Socket } from 'node:net';
import { readPeerCredentials } from '../../rpc/index.ts';
import type { Actor } from '../audit/event.ts';

/** Throws PeerCredentialsError if the kernel does not say. */
export function actorOfSocket(socket: Socket): Actor {
  const known = actors.get(socket);
  if (known !== undefined) return known;
  const { uid, pid } = readPeerCredentials(socket);
  const actor: Actor = { kind: 'admin', id: `uid:${uid} pid:${pid}`, uid, pid };
  actors.set(socket, actor);
  return actor;
}

// Credentials are those of the moment of connecting, and gone with the descriptor.
const actors = new WeakMap<Socket, Actor>();
