import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { requestTranscript } from '../../../test/vectors/http1/transcript.ts';

// A second opinion: the parser in Node, strict as it is by default. Whatever we take, it must either
// refuse or read as the same requests; whatever two parsers read differently can be smuggled.

interface Seen {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly string[];
  readonly body: string;
}

const vectors: readonly { readonly name: string; readonly input: string }[] = JSON.parse(
  readFileSync(new URL('../../../test/vectors/http1/requests.json', import.meta.url), 'utf8'),
);

test.for(vectors)('$name is not read in another way', async ({ input }) => {
  await compare(input);
});

test('both read pipelined requests to the end', async () => {
  const pipelined = vectors.find(({ name }) => name === 'five pipelined requests');
  expect(await compare(pipelined?.input ?? '')).toBe(5);
});

test('neither are damaged messages', async () => {
  const insert = fc.constantFrom(
    ...Array.from('\r\n\t :;,="\x00\x80/?*0-+5aA'),
    '\r\n',
    '0\r\n\r\n',
  );
  // Only what we take can be read in two ways, so the damage is small and done to good messages.
  const good = vectors.filter(({ input }) => isRead(input));
  const damaged = fc
    .tuple(fc.constantFrom(...good), fc.nat(300), insert, fc.nat(2))
    .map(([{ input }, at, inserted, length]) => {
      const from = at % (input.length + 1);
      return input.slice(0, from) + inserted + input.slice(from + length);
    });
  let compared = 0;
  const property = fc.asyncProperty(damaged, async (input) => {
    compared += await compare(input);
  });
  await fc.assert(property, { numRuns: 400 });
  // Else the two did not meet, and the test says nothing.
  expect(compared).toBeGreaterThan(20);
});

function isRead(input: string): boolean {
  const { messages, error } = requestTranscript([Buffer.from(input, 'latin1')]);
  return error === undefined && messages.some((message) => message.complete);
}

/** Compares as far as both read; says how many requests that were. */
async function compare(input: string): Promise<number> {
  const { messages } = requestTranscript([Buffer.from(input, 'latin1')]);
  const ours = messages
    .filter((message) => message.complete)
    .map(({ head, body }): Seen => {
      const fields = head['headers'];
      if (!Array.isArray(fields)) throw new Error('a head without fields');
      return {
        method: String(head['method']),
        target: String(head['target']),
        fields: fields.flat(),
        body,
      };
    });
  const theirs = await readWithNode(input);
  // Node may stop earlier (a method it does not know) or go on where we stop (an error of ours, a
  // close), but as far as both read, they read the same.
  const length = Math.min(ours.length, theirs.length);
  expect(theirs.slice(0, length)).toEqual(ours.slice(0, length));
  return length;
}

/** The requests that Node's server reads in full, before it finds a fault or the input ends. */
async function readWithNode(input: string): Promise<readonly Seen[]> {
  const seen: Seen[] = [];
  const pending: Promise<void>[] = [];
  const server = createServer((request, response) => {
    const done = Promise.withResolvers<void>();
    pending.push(done.promise);
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      seen.push({
        method: request.method ?? '',
        target: request.url ?? '',
        fields: request.rawHeaders,
        body: Buffer.concat(parts).toString('latin1'),
      });
      response.end();
    });
    request.on('close', () => done.resolve());
    request.on('error', () => done.resolve());
  });
  const closed = Promise.withResolvers<void>();
  const connection = new Duplex({ read() {}, write: (_chunk, _encoding, next) => next() });
  // Not at once, so that what was read before the fault is still heard of.
  server.on('clientError', () => setImmediate(() => connection.destroy()));
  for (const event of ['upgrade', 'connect']) server.on(event, () => connection.destroy());
  connection.on('error', () => connection.destroy());
  connection.on('close', () => closed.resolve());
  server.emit('connection', connection);
  connection.push(Buffer.from(input, 'latin1'));
  connection.push(null);
  await closed.promise;
  await Promise.all(pending);
  return seen;
}
