/**
 * The same frames go to our proxy, to nginx and to haproxy, all in front of a server of HTTP/1.1, and what
 * reaches it is compared: a second request in what one of them takes for a field is what smuggling needs.
 */

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import { ProxyMesh } from '../fakes/proxy-mesh.ts';
import { type SessionVector, type Step, wireOf } from '../vectors/http2/transcript.ts';
import { findRivals } from './http1-proxies.ts';
import type { Seen } from './http1-recorder.ts';
import { type Http2Lane, startHttp2Lanes } from './http2-lanes.ts';
import { testWith } from './peers.ts';

const rivals = findRivals();
let mesh: ProxyMesh;
let lanes: readonly Http2Lane[];
beforeAll(async () => {
  mesh = await ProxyMesh.start();
  lanes = rivals === undefined ? [] : await startHttp2Lanes(mesh, rivals, laneCount);
});
afterAll(() => mesh.close());

interface Asked {
  readonly name: string;
  readonly steps: readonly Step[];
  readonly preface?: boolean;
  /** Whether there is no request in it. */
  readonly isRefused?: boolean;
}

type Pairs = readonly (readonly [string, string])[];

function message(name: string, more: Pairs, { path = '/', body = '' } = {}): Asked {
  const fields: Pairs = [
    [':method', body === '' ? 'GET' : 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'a.test'],
    ...more,
  ];
  const head = { frame: 'headers', stream: 1, fields } as const;
  if (body === '') return { name, steps: [{ ...head, flags: ['endHeaders', 'endStream'] }] };
  const payload = Buffer.from(body).toString('hex');
  const data = { frame: 'data', stream: 1, flags: ['endStream'], payload } as const;
  return { name, steps: [{ ...head, flags: ['endHeaders'] }, data] };
}

// Beside what the vectors say: what is joined, dropped or translated on the way to HTTP/1.1.
const messages: readonly Asked[] = [
  message('cookies in crumbs', [
    ['cookie', 'a=1'],
    ['x-between', 'y'],
    ['cookie', 'b=2'],
  ]),
  message('te: trailers', [['te', 'trailers']]),
  message('a body of the length that was told', [['content-length', '5']], { body: 'hello' }),
  message('a body without a length', [], { body: 'hello' }),
  message('a body that is a request', [], {
    body: '0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n',
  }),
  message('a query, percent signs and colons in the path', [], { path: '/a%2f..%00:b?c=/d&e=?' }),
  message('two slashes', [], { path: '//a.test/x' }),
  message('a fragment', [], { path: '/a#b' }),
  message('a backslash', [], { path: '/a\\b' }),
  message('an absolute path', [], { path: 'http://other.test/x' }),
  message('a path that ends a request line', [], { path: '/ HTTP/1.1\r\nX: y' }),
  message('transfer-encoding: chunked with a body', [['transfer-encoding', 'chunked']], {
    body: '0\r\n\r\n',
  }),
  message('a field whose name is a request line', [['get / http/1.1', 'x']]),
  message('a field without a name', [['', 'x: y']]),
  message('expect', [['expect', '100-continue']], { body: 'hello' }),
];

type ExpectedVector = SessionVector & { readonly expected: { readonly events: string[] } };

const vectors: readonly Asked[] = (
  JSON.parse(
    readFileSync(new URL('../vectors/http2/sessions.json', import.meta.url), 'utf8'),
  ) as readonly ExpectedVector[]
)
  .filter(({ role, limits, extendedConnect, steps }) => {
    // What our side does in the middle, or is configured for, the others do not.
    const isOurs = steps.some((step) => 'act' in step || 'answer' in step || 'open' in step);
    return role === 'server' && limits === undefined && extendedConnect !== true && !isOurs;
  })
  .map((vector) => ({
    ...vector,
    isRefused: !vector.expected.events.some((event) => event.startsWith('request')),
  }));

testWith(
  rivals,
  'nginx or haproxy',
  'no frames are read by us as other requests than by nginx and by haproxy',
  async () => {
    const found: string[] = [];
    const stricter: string[] = [];
    let agreed = 0;
    const asked = [...messages, ...vectors].values();
    await Promise.all(
      lanes.map(async (lane) => {
        for (const each of asked) {
          const answers = await lane.askAll(wireOf(each));
          const us = summaryOf(answers.us);
          const them = [summaryOf(answers.nginx), summaryOf(answers.haproxy)];
          if (us.length > 0 && them.some((other) => other.join() === us.join())) agreed += 1;
          if (them.every((other) => other.length > us.length)) stricter.push(each.name);
          // Whatever we forward, one of them forwards just so.
          const isShared = us.every((request) => them.some((other) => other.includes(request)));
          if (!isShared) {
            found.push(`${each.name}: ${JSON.stringify({ us, them })}`);
          }
          // A head that is refused has left no byte behind it.
          if (each.isRefused === true && answers.us.partial !== '') {
            found.push(`${each.name}: ${JSON.stringify(answers.us.partial)} went on`);
          }
        }
      }),
    );
    expect(found).toEqual([]);
    expect(stricter.toSorted()).toEqual(Object.keys(refusedByUsAlone).toSorted());
    // Most of the vectors are faults, which nobody forwards.
    expect(agreed).toBeGreaterThan(15);
  },
  'apt-get install nginx-light haproxy',
);

/** What two proxies must agree on: the request, its body, and the fields that decide where it ends and goes. */
function summaryOf({ requests, raw }: Seen): string[] {
  return requests
    .map(({ method, target, body }, at) => {
      const fields = (raw[at]?.split('\r\n\r\n')[0] ?? '').split('\r\n').slice(1);
      const kept = fields
        .map((field) =>
          field.replace(/^([^:]*):[ \t]*/, (_all, name: string) => `${name.toLowerCase()}: `),
        )
        .filter((field) => /^(?:host|cookie|x-(?!forwarded|request-id)[a-z-]*):/.test(field));
      return `${method} ${target} [${kept.toSorted().join(', ')}] ${body}`;
    })
    .toSorted();
}

/** What both forward and we do not, and the clause that says so. */
const refusedByUsAlone: Readonly<Record<string, string>> = {
  'a backslash': 'RFC 3986 §3.3 has none in a path, and some servers take it for a slash',
  'a scheme that is not of the web':
    'a server of HTTP/1.1 is not told it, and would serve another thing',
  'a value that begins with a space': 'RFC 9113 §8.2.1',
  'a value that ends with a tab': 'RFC 9113 §8.2.1',
  'content-length with a leading zero':
    'a length that is written in two ways can be read in two ways',
  'content_length with an underscore':
    'a server that maps names to variables takes it for the length',
  'user information in the authority': 'RFC 9113 §8.3.1',
};

// Who waits for the rest of a message waits out its patience, so that several wait at once.
const laneCount = 8;
