/**
 * The same bytes go to our proxy, to nginx and to haproxy, and what reaches the upstream is compared. Two
 * proxies that read one stream of bytes as different requests are what smuggling needs.
 */

import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, expect } from 'vitest';
import { ProxyMesh } from '../fakes/proxy-mesh.ts';
import { requestTranscript } from '../vectors/http1/transcript.ts';
import { type Answers, type Lane, startLanes } from './http1-lanes.ts';
import { findRivals } from './http1-proxies.ts';
import type { Seen, SeenRequest } from './http1-recorder.ts';
import {
  laxer,
  readOtherwise,
  sometimesStricter,
  stricterNames,
  takenByOne,
} from './http1-strictness.ts';
import { testWith } from './peers.ts';

interface Vector {
  readonly name: string;
  readonly input: string;
}

const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL('../vectors/http1/requests.json', import.meta.url), 'utf8'),
);
// Behind each input, so that a byte too few or too many in it changes what is seen. It ends the connection.
const sentinel = 'GET /sentinel HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n';

const rivals = findRivals();
const missing = 'nginx or haproxy';
const remedy = 'apt-get install nginx-light haproxy';

let mesh: ProxyMesh;
let lanes: readonly Lane[];

beforeAll(async () => {
  mesh = await ProxyMesh.start();
  lanes = rivals === undefined ? [] : await startLanes(mesh, rivals, laneCount);
});
afterAll(() => mesh.close());

/** Gives every item to the next lane that is free. */
async function forEach<Item>(
  items: readonly Item[],
  body: (item: Item, lane: Lane) => Promise<void>,
): Promise<void> {
  const waiting = items.values();
  await Promise.all(
    lanes.map(async (lane) => {
      for (const item of waiting) await body(item, lane);
    }),
  );
}

testWith(
  rivals,
  missing,
  'no input is read by us as other requests than by nginx and by haproxy',
  async () => {
    const stricter: string[] = [];
    const found: { readonly name: string; readonly what: string }[] = [];
    let agreed = 0;
    await forEach(vectors, async ({ name, input }, lane) => {
      const answers = await lane.askAll(input + sentinel);
      const { us, nginx, haproxy } = answers;
      const fault = differenceOf(answers);
      if (fault !== undefined && !(name in readOtherwise)) found.push({ name, what: fault });
      const longest = Math.max(nginx.requests.length, haproxy.requests.length);
      if (us.requests.length > longest && !(name in laxer)) {
        found.push({ name, what: 'forwarded by nobody but us' });
      }
      if (us.requests.length === longest) agreed += 1;
      if (us.requests.length < Math.min(nginx.requests.length, haproxy.requests.length)) {
        stricter.push(name);
      }
      // A head that is refused has left no byte behind it.
      if (isHeadRefused(input + sentinel) && us.partial !== '') {
        found.push({ name, what: `refused, and ${JSON.stringify(us.partial)} went upstream` });
      }
    });
    expect(found).toEqual([]);
    // Where we refuse what both of them forward, the table says so by name and why.
    const always = stricter.filter((name) => !sometimesStricter.has(name));
    expect(always.toSorted()).toEqual(stricterNames);
    expect(agreed).toBeGreaterThan(vectors.length / 3);
  },
  remedy,
);

testWith(
  rivals,
  missing,
  'what we forward is read by nginx and by haproxy as the requests that we sent',
  async () => {
    const found: { readonly name: string; readonly them: Seen }[] = [];
    let compared = 0;
    await forEach(vectors, async ({ name, input }, lane) => {
      const sent = await lane.ours.ask(input + sentinel);
      if (sent.raw.length === 0 || sent.partial !== '') return;
      const again = sent.raw.join('') + sentinel;
      for (const them of await lane.askRivals(again)) {
        const expected = [...sent.requests, sentinelRequest];
        if (them.requests.length === 0 && name in takenByOne) continue;
        const isSame =
          them.requests.length === expected.length && isPrefix(them.requests, expected);
        if (isSame) compared += 1;
        else found.push({ name, them });
      }
    });
    expect(found).toEqual([]);
    expect(compared).toBeGreaterThan(100);
  },
  remedy,
);

testWith(
  rivals,
  missing,
  'nor are damaged messages read in two ways',
  async () => {
    const insert = fc.constantFrom(
      ...Array.from('\r\n\t :;,="\x00\x80/?*0-+5aA'),
      '\r\n',
      '0\r\n\r\n',
    );
    // Only what we take can be read in two ways, so the damage is small and done to good messages.
    const good = vectors.filter(({ input, name }) => isRead(input) && !(name in readOtherwise));
    const damaged = fc
      .tuple(fc.constantFrom(...good), fc.nat(300), insert, fc.nat(2))
      .map(([{ input }, at, inserted, length]) => {
        const from = at % (input.length + 1);
        return input.slice(0, from) + inserted + input.slice(from + length);
      });
    const found: { readonly input: string; readonly fault: string }[] = [];
    let compared = 0;
    await forEach(fc.sample(damaged, { numRuns: damagedCount, seed: 1 }), async (input, lane) => {
      const answers = await lane.askAll(input + sentinel);
      const fault = differenceOf(answers);
      if (fault !== undefined) found.push({ input, fault });
      if (answers.us.requests.length > 0) compared += 1;
    });
    expect(found).toEqual([]);
    // Else they did not meet, and the test says nothing.
    expect(compared).toBeGreaterThan(50);
  },
  remedy,
);

const sentinelRequest: SeenRequest = { method: 'GET', target: '/sentinel', body: '' };

/** Where two saw a request at one place in the stream, it is the same request. */
function differenceOf({ us, nginx, haproxy }: Answers): string | undefined {
  for (const [name, them] of [
    ['nginx', nginx],
    ['haproxy', haproxy],
  ] as const) {
    if (isPrefix(us.requests, them.requests) || isPrefix(them.requests, us.requests)) continue;
    return `${JSON.stringify(us.requests)} by us, ${JSON.stringify(them.requests)} by ${name}`;
  }
  return undefined;
}

function isPrefix(shorter: readonly SeenRequest[], longer: readonly SeenRequest[]): boolean {
  return (
    shorter.length <= longer.length &&
    shorter.every((request, at) => {
      const other = longer[at];
      return (
        request.method === other?.method &&
        request.body === other.body &&
        originForm(request) === originForm(other)
      );
    })
  );
}

/** haproxy leaves absolute-form as it is; nginx and we make origin-form of it (RFC 9112 §3.2.1). */
function originForm({ method, target }: SeenRequest): string {
  const rest = /^https?:\/\/[^/?]*(.*)$/i.exec(target)?.[1];
  if (rest === undefined) return target;
  if (rest === '' && method === 'OPTIONS') return '*';
  return rest.startsWith('/') ? rest : `/${rest}`;
}

function isHeadRefused(text: string): boolean {
  const { messages, error } = requestTranscript([Buffer.from(text, 'latin1')]);
  return error !== undefined && messages.every(({ complete }) => complete);
}

function isRead(input: string): boolean {
  const { messages, error } = requestTranscript([Buffer.from(input, 'latin1')]);
  return error === undefined && messages.some(({ complete }) => complete);
}

// Inputs that stop short cost the proxies' patience each, so that several wait at once.
const laneCount = 8;
const damagedCount = 300;
