/** The demo's mesh: a CA, an agent, two services and their sidecars, each a process of its own. */

import { join } from 'node:path';
import { z } from 'zod';
import { freePorts } from '../../core/index.ts';
import { type Child, sourceRoot } from './child.ts';
import {
  type ControlPlane,
  failIfEnded,
  signetScript,
  startControlPlane,
  writeConfig,
} from './control-plane.ts';
import { nodeUnderName } from './node-under-name.ts';
import { answerOf } from './talk.ts';
import { waitFor } from './wait.ts';

export interface Sidecar {
  readonly name: string;
  readonly spiffeId: string;
  readonly child: Child;
  readonly adminPort: number;
  readonly outboundPort: number;
}

export interface Mesh {
  readonly controlPlane: ControlPlane;
  readonly sidecars: readonly Sidecar[];
  readonly witnesses: readonly Child[];
  /** Executables that are copies of Node.js itself, not something the demo wrote. */
  readonly binaries: string;
}

const names = ['web', 'orders'] as const;
type Name = (typeof names)[number];

interface Place {
  readonly name: Name;
  readonly peer: Name;
  readonly executable: string;
  readonly servicePort: number;
  readonly adminPort: number;
  readonly inboundPort: number;
  readonly outboundPort: number;
}

/** Brings the whole mesh up, `progress` told of each step; resolves when both sidecars are ready. */
export async function startMesh(
  directory: string,
  progress: (step: string) => void,
): Promise<Mesh> {
  const controlPlane = await startControlPlane(directory, progress);
  try {
    return await populate(controlPlane, progress);
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
}

async function populate(
  controlPlane: ControlPlane,
  progress: (step: string) => void,
): Promise<Mesh> {
  const { admin, directory } = controlPlane;
  const binaries = join(directory, 'bin');
  progress('two plain HTTP services');
  const places: Place[] = [];
  for (const name of names) {
    // One machine, one user: the workloads are told apart by the path of their executable.
    const executable = nodeUnderName(join(binaries, name));
    await admin.createEntry({
      spiffeId: idOf(controlPlane, name),
      parentId: controlPlane.nodeId,
      selectors: [`unix:path:${executable}`],
    });
    const script = join(sourceRoot, 'cli/demo/plain-service.ts');
    const service = controlPlane.start({
      name: `${name}-service`,
      script,
      args: [name],
      talks: true,
    });
    const { port: servicePort } = await answerOf(service, z.object({ port: z.number() }));
    const [adminPort = 0, inboundPort = 0, outboundPort = 0] = await freePorts(3);
    const peer = name === 'web' ? 'orders' : 'web';
    places.push({ name, peer, executable, servicePort, adminPort, inboundPort, outboundPort });
  }

  progress('two sidecars');
  const sidecars = places.map((place) => startSidecar(controlPlane, place, places));
  const witnesses = places.map(({ name, executable }) =>
    controlPlane.start({
      name: `${name}-witness`,
      executable,
      script: join(sourceRoot, 'cli/demo/key-witness.ts'),
      args: [controlPlane.agentSocket],
      talks: true,
    }),
  );
  for (const sidecar of sidecars) {
    await waitFor(`${sidecar.name}'s sidecar getting its certificate`, 20_000, async () => {
      failIfEnded(sidecar.child);
      const response = await fetch(`http://127.0.0.1:${sidecar.adminPort}/readyz`);
      return response.ok ? true : undefined;
    });
  }
  return { controlPlane, sidecars, witnesses, binaries };
}

function startSidecar(controlPlane: ControlPlane, place: Place, places: readonly Place[]): Sidecar {
  const { name, peer, executable, adminPort, outboundPort } = place;
  const peerPort = places.find((candidate) => candidate.name === peer)?.inboundPort ?? 0;
  const peerId = idOf(controlPlane, peer);
  const config = writeConfig(controlPlane.directory, `${name}-sidecar`, {
    node: { id: `${name}-1`, cluster: name },
    sds: { socket: controlPlane.agentSocket },
    admin: `127.0.0.1:${adminPort}`,
    accessLog: 'off',
    listeners: [
      {
        name: 'inbound',
        address: `127.0.0.1:${place.inboundPort}`,
        tls: { allow: [peerId] },
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'app' }],
      },
      {
        name: 'outbound',
        address: `127.0.0.1:${outboundPort}`,
        plaintext: true,
        protocol: 'http1',
        routes: [{ prefix: `/${peer}`, cluster: peer }],
      },
    ],
    clusters: [
      { name: 'app', endpoints: [`127.0.0.1:${place.servicePort}`] },
      { name: peer, endpoints: [`127.0.0.1:${peerPort}`], tls: { expect: [peerId] } },
    ],
  });
  const child = controlPlane.start({
    name: `${name}-sidecar`,
    executable,
    script: signetScript,
    args: ['proxy', 'run', '--config', config],
  });
  return { name, spiffeId: idOf(controlPlane, name), child, adminPort, outboundPort };
}

function idOf(controlPlane: ControlPlane, name: string): string {
  return `spiffe://${controlPlane.trustDomain}/${name}`;
}
