/** Session-ticket keys rotate all the way to SDS clients: of both protocols, on two nodes, each with what opens the tickets of before. */

import { hash } from 'node:crypto';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseAgentConfig, startAgent } from '../../agent/index.ts';
import { Secret } from '../../api/index.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { DeltaSdsClient, SdsClient } from '../fakes/sds-client.ts';
import { CaFixture } from './ca-fixture.ts';

const name = 'session-ticket-keys';
const directory = mkdtempSync(join(tmpdir(), 'signet-tickets-'));
const closers: (() => Promise<void> | void)[] = [];
let fixture: CaFixture;

beforeAll(async () => {
  fixture = await CaFixture.begin();
  await fixture.restart({ ticketEpoch: '5s' });
});

afterAll(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  await fixture.end();
  rmSync(directory, { recursive: true });
});

/** Its socket; this process is the workload. */
async function startNode(node: string): Promise<string> {
  const { token, spiffeId: parentId } = await fixture.admin.createToken({ ttlSeconds: 60 });
  await fixture.admin.createEntry({
    spiffeId: 'spiffe://mesh.test/web',
    parentId,
    selectors: [`unix:path:${realpathSync(process.execPath)}`],
  });
  const [root] = (await fixture.bundle()).x509Authorities;
  const socket = join(directory, `${node}.sock`);
  const config = {
    trustDomain: 'mesh.test',
    ca: {
      address: `127.0.0.1:${fixture.ca.agentPort}`,
      rootSha256: hash('sha256', root?.der ?? '', 'hex'),
    },
    socket,
    adminSocket: 'off',
    cache: 'off',
    join: { token },
  };
  const agent = await startAgent(parseAgentConfig(JSON.stringify(config), 'agent.yaml'), {
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    environment: {},
  });
  closers.push(() => agent.close());
  return socket;
}

/** Each set of keys that came, in hex. */
type KeySets = () => readonly (readonly string[])[];

function world(socket: string): KeySets {
  const client = new SdsClient(socket);
  closers.push(() => client.close());
  client.stream.on('data', () => client.acknowledge([name]));
  client.ask([name]);
  return () =>
    client.responses.flatMap(({ resources }) => resources.map(({ value }) => keysIn(value)));
}

function delta(socket: string): KeySets {
  const client = new DeltaSdsClient(socket);
  closers.push(() => client.close());
  client.stream.on('data', () => client.acknowledge());
  client.subscribe(name);
  return () =>
    client.responses.flatMap(({ resources }) =>
      resources.map(({ resource }) => keysIn(resource?.value ?? new Uint8Array())),
    );
}

function keysIn(value: Uint8Array): readonly string[] {
  const { type } = Secret.decode(value);
  if (type?.$case !== 'sessionTicketKeys') throw new Error('not ticket keys');
  return type.value.keys.map(({ specifier }) => {
    if (specifier?.$case !== 'inlineBytes') throw new Error('not inline bytes');
    return Buffer.from(specifier.value).toString('hex');
  });
}

test('each epoch brings every sidecar of the identity a new first key, and the two before it', async () => {
  const [first, second] = [await startNode('one'), await startNode('two')];
  const clients = [world(first), delta(first), world(second), delta(second)];
  // Four sets after the first: by then the first key is gone.
  await eventually(() => {
    for (const sets of clients) expect(sets().length).toBeGreaterThan(4);
  }, 90_000);
  for (const sets of clients) {
    const all = sets();
    for (const [index, keys] of all.entries()) {
      expect(keys.every((key) => /^[0-9a-f]{160}$/.test(key))).toBe(true);
      expect(keys.length).toBeLessThanOrEqual(3);
      const before = all[index - 1] ?? [];
      if (index === 0) continue;
      expect(before).not.toContain(keys[0]);
      // What the newest sealed until now is opened still: nobody's session is lost.
      expect(keys).toContain(before[0]);
    }
    expect(all.at(-1)).not.toContain(all[0]?.[0]);
  }
  // One set for an epoch, whichever node and protocol it came by.
  const ofEpoch = new Map<string, string>();
  for (const keys of clients.flatMap((sets) => sets())) {
    const [newest = ''] = keys;
    expect(ofEpoch.get(newest) ?? keys.join()).toBe(keys.join());
    ofEpoch.set(newest, keys.join());
  }
});
