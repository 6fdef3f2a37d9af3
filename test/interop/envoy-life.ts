/**
 * What an unmodified Envoy must live through without one failed request, whichever way it asks for secrets:
 * leaf rotation, a refused secret and a good one in its place, an agent that is killed and started again, a CA
 * that is away, and a new root.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { z } from 'zod';
import { type Child, sourceRoot } from '../../cli/demo/child.ts';
import {
  type ControlPlane,
  failIfEnded,
  signetScript,
  writeConfig,
} from '../../cli/demo/control-plane.ts';
import { startLoad } from '../../cli/demo/load.ts';
import { answerOf } from '../../cli/demo/talk.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { sleep, systemClock, freePorts } from '../../core/index.ts';
import { envoySelfBootstrap, type SdsApi } from './envoy-bootstrap.ts';

const envoyId = 'spiffe://mesh.test/envoy';

export async function liveThroughChanges(
  controlPlane: ControlPlane,
  envoy: string,
  api: SdsApi,
): Promise<void> {
  const { admin, directory } = controlPlane;
  const [adminPort = 0, front = 0, back = 0, extra = 0] = await freePorts(4);
  await admin.createEntry({
    spiffeId: envoyId,
    parentId: controlPlane.nodeId,
    selectors: [`unix:path:${envoy}`],
  });
  // A name for a certificate that gives roots: what an operator may get wrong, and Envoy must refuse.
  await restartAgent(controlPlane, { extra: 'ROOTCA' });

  const script = join(sourceRoot, 'cli/demo/plain-service.ts');
  const service = controlPlane.start({ name: 'app', script, args: ['app'], talks: true });
  const { port: app } = await answerOf(service, z.object({ port: z.number() }));
  const ports = { admin: adminPort, front, back, extra, app };
  const bootstrap = envoySelfBootstrap(controlPlane.agentSocket, ports, envoyId, api);
  const proxy = controlPlane.start({
    name: 'envoy',
    executable: envoy,
    script: '--config-path',
    args: [
      writeConfig(directory, 'envoy', bootstrap),
      '--concurrency',
      '1',
      '--disable-hot-restart',
      '--log-level',
      'warning',
    ],
  });
  const stats = (): Promise<Map<string, number>> => statsOf(adminPort);
  const until = (what: string, check: (now: Map<string, number>) => boolean): Promise<true> =>
    waitFor(what, 20_000, async () => {
      failIfEnded(proxy);
      return check(await stats()) ? true : undefined;
    });
  const updates = async (name: string): Promise<number> =>
    (await stats()).get(`sds.${name}.update_success`) ?? 0;
  const rotated = async (what: string, times: number): Promise<void> => {
    const before = await updates('default');
    await until(what, (now) => (now.get('sds.default.update_success') ?? 0) >= before + times);
  };

  await waitFor('Envoy serving', 30_000, async () => {
    failIfEnded(proxy);
    const answer = await fetch(`http://127.0.0.1:${front}/first`).catch(() => undefined);
    await answer?.arrayBuffer();
    return answer?.ok === true ? true : undefined;
  });
  const route = { name: 'Envoy → itself', port: front, path: '/self', service: 'app', peer: '' };
  const load = startLoad([route], 2);

  // After each, so that a failure names what it came by.
  const unbroken = (after: string): void => {
    const { failed, failures } = load.counts();
    expect({ after, failed, failures }).toEqual({ after, failed: 0, failures: [] });
  };

  await rotated('two rotations of the leaf', 2);
  unbroken('rotations');

  // Refused once, and not sent over and over.
  await until('the wrong kind of secret being refused', (now) => refusals(now) > 0);
  expect(refusals(await stats())).toBe(1);
  expect(await updates('extra')).toBe(0);
  // Just after a rotation, so that whatever follows has nearly the life of a leaf to happen in.
  await rotated('a rotation before the agent is killed', 1);
  await restartAgent(controlPlane, { extra: 'default' });
  await until('the right one being accepted', (now) => updatesOf(now, 'extra') > 0);
  await rotated('a rotation after the agent was killed and started again', 1);
  unbroken('the agent was killed');

  await rotated('a rotation before the CA goes', 1);
  const [ca] = controlPlane.children();
  await ca?.stop('SIGKILL');
  // With the time that a CA takes to start: a renewal comes due, and the leaf still lives.
  await sleep(systemClock, outageMs);
  await controlPlane.restartCa();
  await rotated('a rotation after the CA was away', 1);
  unbroken('the CA was away');

  const trusts = await updates('ALL');
  const next = await admin.prepareAuthority();
  await until('Envoy having the new root', (now) => updatesOf(now, 'ALL') > trusts);
  // The CA lets a root become active only when the sidecars have acknowledged it.
  await waitFor('the new root being active', 20_000, async () => {
    try {
      return await admin.activateAuthority(next.id, false);
    } catch (error) {
      const { message } = z.object({ message: z.string() }).parse(error);
      if (!/SDS subscribers|nodes/.test(message)) throw error;
      return undefined;
    }
  });
  await rotated('two leaves, one of them under the new root', 2);

  await load.stop();
  unbroken('the new root');
  expect(load.counts().requests).toBeGreaterThan(500);
  const last = await stats();
  expect(refusals(last)).toBe(1);
  expect(last.get('sds.default.update_rejected')).toBe(0);
  expect(last.get('sds.ALL.update_rejected')).toBe(0);
  expect(last.get('http.front.downstream_rq_5xx')).toBe(0);
  expect(last.get('cluster.peer.ssl.fail_verify_error')).toBe(0);
  expect(last.get('cluster.peer.ssl.fail_verify_san')).toBe(0);
  expect(last.get('cluster.peer.ssl.handshake')).toBeGreaterThan(10);
  expect(proxy.ended()).toBeUndefined();
}

function refusals(stats: Map<string, number>): number {
  return stats.get('sds.extra.update_rejected') ?? 0;
}

function updatesOf(stats: Map<string, number>, name: string): number {
  return stats.get(`sds.${name}.update_success`) ?? 0;
}

/** Kills the agent and starts it again with these aliases; what it was let in with, it has in its cache. */
async function restartAgent(
  controlPlane: ControlPlane,
  aliases: Readonly<Record<string, string>>,
): Promise<Child> {
  const config = join(controlPlane.directory, 'config', 'agent.yaml');
  const settings = z.looseObject({}).parse(JSON.parse(readFileSync(config, 'utf8')));
  writeFileSync(config, JSON.stringify({ ...settings, sds: { aliases } }), { mode: 0o600 });
  const restored = (): number => agentLog(controlPlane).split('"node restored"').length;
  const before = restored();
  const running = controlPlane
    .children()
    .filter((child) => child.name === 'agent')
    .at(-1);
  await running?.stop('SIGKILL');
  const agent = controlPlane.start({
    name: 'agent',
    script: signetScript,
    args: ['agent', 'run', '--config', config],
  });
  await waitFor('the agent having restored its cache', 10_000, () => {
    failIfEnded(agent);
    return restored() > before ? true : undefined;
  });
  return agent;
}

function agentLog({ directory }: ControlPlane): string {
  return readFileSync(join(directory, 'logs', 'agent.log'), 'utf8');
}

async function statsOf(adminPort: number): Promise<Map<string, number>> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/stats`).catch(() => undefined);
  const text = (await response?.text()) ?? '';
  return new Map(
    text.split('\n').flatMap((line): (readonly [string, number])[] => {
      const [name, value] = line.split(': ');
      return name === undefined || value === undefined ? [] : [[name, Number(value)]];
    }),
  );
}

const outageMs = 2500;
