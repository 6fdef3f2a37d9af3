/**
 * A mesh that loses its CA and its agent at one blow: what the tests of outages share, whichever proxy carries
 * the traffic.
 */

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { z } from 'zod';
import { type Child, sourceRoot } from '../../cli/demo/child.ts';
import { type ControlPlane, failIfEnded, signetScript } from '../../cli/demo/control-plane.ts';
import { type Route, startLoad } from '../../cli/demo/load.ts';
import { answerOf } from '../../cli/demo/talk.ts';
import { waitFor } from '../../cli/demo/wait.ts';

/** A proxy that takes its secrets from the agent and carries the traffic of `route`. */
export interface OutageProxy {
  readonly child: Child;
  readonly route: Route;
  /** What it presents now. */
  leaf(): Promise<Leaf | undefined>;
  /** Whether a new connection to it comes about: one that stands outlives the certificate it began with. */
  handshakes(): Promise<boolean>;
  /** How often it has taken a secret for another than it had, if it counts that. */
  changes?(): Promise<number>;
}

export interface Leaf {
  readonly serial: string;
  readonly notAfterMs: number;
}

/**
 * Kills the CA and the agent with SIGKILL, starts the agent alone, and follows the traffic to the end of the
 * leaf and until the CA is back. Everything it says is asserted.
 */
export async function surviveOutage(controlPlane: ControlPlane, proxy: OutageProxy): Promise<void> {
  const [ca, agent] = controlPlane.children();
  if (ca?.name !== 'ca' || agent?.name !== 'agent') throw new Error('no CA and agent');
  const leafNow = (): Promise<Leaf> =>
    waitFor('a leaf', 20_000, async () => {
      failIfEnded(proxy.child);
      return proxy.leaf();
    });
  // Just after a renewal, so that nearly a whole life is left.
  const { serial: older } = await leafNow();
  const leaf = await waitFor('a renewal', 20_000, async () => {
    const now = await leafNow();
    return now.serial === older ? undefined : now;
  });
  const changes = await proxy.changes?.();
  // A kill within some milliseconds of a renewal would find the one before in the cache.
  await waitFor('the renewal being in the cache', 5000, () => {
    const line = agentLog(controlPlane)
      .split('\n')
      .find((each) => each.includes(`"svid issued"`) && each.includes(leaf.serial));
    const { time } = z.object({ time: z.string() }).parse(JSON.parse(line ?? '{}'));
    const written = statSync(join(controlPlane.directory, 'run-agent', 'agent.sock.cache')).mtimeMs;
    return written > Date.parse(time) ? true : undefined;
  });

  const load = startLoad([proxy.route], 2);
  await Promise.all([ca.stop('SIGKILL'), agent.stop('SIGKILL')]);
  const again = startAgentAgain(controlPlane);
  await waitFor('the agent having restored its cache', 10_000, () => {
    failIfEnded(again);
    return agentLog(controlPlane).includes('"node restored"') ? true : undefined;
  });
  await waitFor('the end of the leaf drawing near', 20_000, () =>
    Date.now() > leaf.notAfterMs - endMs ? true : undefined,
  );
  await load.stop();
  const { failures, failed, requests } = load.counts();
  expect({ failures, failed }).toEqual({ failures: [], failed: 0 });
  expect(requests).toBeGreaterThan(100);
  expect(failIfEnded(proxy.child)).toBeUndefined();
  // The same leaf all the while, and nothing that looked like another.
  expect(await proxy.leaf()).toEqual(leaf);
  expect(await proxy.changes?.()).toBe(changes);

  await waitFor('the proxy failing closed', 5000, async () => {
    const isOver = Date.now() >= leaf.notAfterMs;
    const begins = await proxy.handshakes();
    return isOver && !begins ? true : undefined;
  });
  expect(await proxy.handshakes()).toBe(false);

  await controlPlane.restartCa();
  const backMs = performance.now();
  await waitFor('traffic under a new leaf after the CA is back', recoveryMsMax, async () => {
    const renewed = (await proxy.leaf())?.serial !== leaf.serial && (await proxy.handshakes());
    return renewed && (await request(proxy.route)) ? true : undefined;
  });
  const tookMs = performance.now() - backMs;
  expect(tookMs).toBeLessThan(recoveryMsMax);
}

export function startAgentAgain(controlPlane: ControlPlane): Child {
  return controlPlane.start({
    name: 'agent',
    script: signetScript,
    args: ['agent', 'run', '--config', join(controlPlane.directory, 'config', 'agent.yaml')],
  });
}

export function agentLog({ directory }: Pick<ControlPlane, 'directory'>): string {
  return readFileSync(join(directory, 'logs', 'agent.log'), 'utf8');
}

/** A plain service behind the proxy. */
export async function startApp(controlPlane: ControlPlane): Promise<number> {
  const script = join(sourceRoot, 'cli/demo/plain-service.ts');
  const child = controlPlane.start({ name: 'app', script, args: ['app'], talks: true });
  return (await answerOf(child, z.object({ port: z.number() }))).port;
}

export async function request({ port, path }: Route): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      headers: { connection: 'close' },
    });
    await response.arrayBuffer();
    return response.ok;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}

// Requests under way at the very end may meet it.
const endMs = 700;
const recoveryMsMax = 10_000;
