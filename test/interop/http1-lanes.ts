/** The three proxies side by side, each before an upstream of its own, several times over. */

import { expect } from 'vitest';
import { eventually } from '../fakes/eventually.ts';
import { type ProxyMesh, RawClient } from '../fakes/proxy-mesh.ts';
import {
  patienceSeconds,
  type RivalPrograms,
  startHaproxyBefore,
  startNginxBefore,
} from './http1-proxies.ts';
import { RecordingUpstream, type Seen } from './http1-recorder.ts';

export interface Answers {
  readonly us: Seen;
  readonly nginx: Seen;
  readonly haproxy: Seen;
}

/** One proxy and the upstream that only it speaks to, so that what arrives has one cause. */
class Subject {
  readonly #port: number;
  readonly #upstream: RecordingUpstream;

  constructor(port: number, upstream: RecordingUpstream) {
    this.#port = port;
    this.#upstream = upstream;
  }

  /** Sends the bytes on a connection of their own, waits until the proxy ends it, and says what came through. */
  async ask(input: string): Promise<Seen> {
    const client = new RawClient(this.#port);
    client.send(input);
    await client.readAll();
    client.close();
    await eventually(() => expect(this.#upstream.isQuiet).toBe(true));
    return this.#upstream.take();
  }
}

export class Lane {
  readonly ours: Subject;
  readonly #nginx: Subject;
  readonly #haproxy: Subject;

  constructor(ours: Subject, nginx: Subject, haproxy: Subject) {
    this.ours = ours;
    this.#nginx = nginx;
    this.#haproxy = haproxy;
  }

  async askAll(text: string): Promise<Answers> {
    const [us, [nginx, haproxy]] = await Promise.all([this.ours.ask(text), this.askRivals(text)]);
    return { us, nginx, haproxy };
  }

  async askRivals(text: string): Promise<readonly [nginx: Seen, haproxy: Seen]> {
    return await Promise.all([this.#nginx.ask(text), this.#haproxy.ask(text)]);
  }
}

export async function startLanes(
  mesh: ProxyMesh,
  programs: RivalPrograms,
  count: number,
): Promise<readonly Lane[]> {
  const { directory, scope } = mesh;
  const upstreams = async (): Promise<readonly RecordingUpstream[]> => {
    const started = Array.from({ length: count }, () => RecordingUpstream.start());
    return (await Promise.all(started)).map((upstream) => scope.add(upstream));
  };
  const portsOf = (of: readonly RecordingUpstream[]): readonly number[] =>
    of.map(({ port }) => port);
  const ours = await upstreams();
  const patience = `${patienceSeconds}s`;
  const timeouts = { idle: patience, head: patience };
  const sidecars = await Promise.all(ours.map(({ port }) => mesh.plain(port, { timeouts })));
  const behindNginx = await upstreams();
  const nginx = await startNginxBefore(scope, programs.nginx, directory, portsOf(behindNginx));
  const behindHaproxy = await upstreams();
  const haproxy = await startHaproxyBefore(
    scope,
    programs.haproxy,
    directory,
    portsOf(behindHaproxy),
  );
  const subject = (
    ports: readonly number[],
    of: readonly RecordingUpstream[],
    at: number,
  ): Subject => {
    const upstream = of[at];
    if (upstream === undefined) throw new RangeError(`there are ${count} lanes`);
    return new Subject(ports[at] ?? 0, upstream);
  };
  const ourPorts = sidecars.map(({ inPort }) => inPort);
  return ours.map(
    (_upstream, at) =>
      new Lane(
        subject(ourPorts, ours, at),
        subject(nginx, behindNginx, at),
        subject(haproxy, behindHaproxy, at),
      ),
  );
}
