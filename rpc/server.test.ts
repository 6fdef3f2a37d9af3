import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Buffer } from 'node:buffer';
import { Client, type ServiceDefinition, type UntypedHandleCall } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CodedError, silentLogger } from '../core/index.ts';
import { callUnary, unixChannel } from './channel.ts';
import { type CallContext, duplexStream, unary } from './handlers.ts';
import { createRpcServer, ListenError, type RpcServer } from './server.ts';
import { RpcError } from './status.ts';

class Refusal extends CodedError<'too_loud'> {
  override readonly name = 'Refusal';
  override readonly kind = 'resource_exhausted';
}

const bytes = {
  requestSerialize: (value: Buffer) => value,
  requestDeserialize: (value: Buffer) => value,
  responseSerialize: (value: Buffer) => value,
  responseDeserialize: (value: Buffer) => value,
};
const definition: ServiceDefinition = {
  Ask: { path: '/test.Echo/Ask', requestStream: false, responseStream: false, ...bytes },
  Talk: { path: '/test.Echo/Talk', requestStream: true, responseStream: true, ...bytes },
};

let directory: string;
let server: RpcServer;
let seen: CallContext | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rpc-'));
  server = createRpcServer(silentLogger, { messageBytesMax: 256 * 1024 });
  server.addService(definition, {
    Ask: unary<Buffer, Buffer>(server.lookup, async (request, context) => {
      seen = context;
      if (request.toString() === 'shout')
        throw new Refusal('too_loud', 'too loud', { remedy: 'whisper' });
      if (request.toString() === 'crash') throw new TypeError('a secret detail');
      return Buffer.concat([request, request]);
    }) as UntypedHandleCall,
    Talk: duplexStream<Buffer, Buffer>(server.lookup, async (stream) => {
      for await (const message of stream.requests) {
        if (message.toString() === 'shout') throw new Refusal('too_loud', 'too loud');
        stream.send(Buffer.from(message.toString().toUpperCase()));
      }
    }) as UntypedHandleCall,
  });
});

afterEach(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

async function ask(path: string, text: string): Promise<string> {
  const channel = unixChannel(path);
  const client = new Client(channel.target, channel.credentials, channel.options);
  try {
    const answer = await callUnary<Buffer>(
      'echo',
      5000,
      (metadata, options, done) =>
        client.makeUnaryRequest(
          '/test.Echo/Ask',
          (value: Buffer) => value,
          (value: Buffer) => value,
          Buffer.from(text),
          metadata,
          options,
          (error, response) => done(error, response ?? Buffer.alloc(0)),
        ),
      Date.now(),
    );
    return answer.toString();
  } finally {
    client.close();
  }
}

test('a handler learns which process calls over a Unix socket', async () => {
  const path = join(directory, 'echo.sock');
  await server.listenUnix(path, 0o777);
  expect(await ask(path, 'hi')).toBe('hihi');
  expect(seen?.caller).toMatchObject({
    kind: 'unix',
    pid: process.pid,
    uid: process.getuid?.(),
    gid: process.getgid?.(),
  });
  if (seen?.caller.kind !== 'unix') throw new Error('not a Unix caller');
  // Still this process, so its handle was alive for as long as the connection stood.
  expect(seen.caller.process).toBeDefined();
  expect(statSync(path).mode & 0o777).toBe(0o777);
});

test("an error of ours arrives with its kind, code and remedy; a stranger's tells nothing", async () => {
  const path = join(directory, 'echo.sock');
  await server.listenUnix(path, 0o700);
  await expect(ask(path, 'shout')).rejects.toMatchObject({
    name: 'RpcError',
    kind: 'resource_exhausted',
    code: 'too_loud',
    message: 'echo: too loud; whisper',
  });
  await expect(ask(path, 'crash')).rejects.toMatchObject({
    kind: 'internal',
    message: 'echo: internal error',
  });
});

test('a stream carries messages both ways and ends with the status of what was thrown', async () => {
  const path = join(directory, 'echo.sock');
  await server.listenUnix(path, 0o700);
  const channel = unixChannel(path);
  const client = new Client(channel.target, channel.credentials, channel.options);
  const stream = client.makeBidiStreamRequest(
    '/test.Echo/Talk',
    (value: Buffer) => value,
    (value: Buffer) => value,
  );
  const received: string[] = [];
  const ended = new Promise<string>((resolve) => {
    stream.on('data', (message: Buffer) => {
      received.push(message.toString());
      if (received.length === 2) stream.write(Buffer.from('shout'));
    });
    stream.on('error', (error) => resolve(error.message));
  });
  stream.write(Buffer.from('a'));
  stream.write(Buffer.from('b'));
  expect(await ended).toContain('too loud');
  expect(received).toEqual(['A', 'B']);
  client.close();
});

test('a socket file that nobody serves is replaced; one that is served, and a file that is none, are not', async () => {
  const stale = join(directory, 'stale.sock');
  const first = createRpcServer(silentLogger, { messageBytesMax: 256 * 1024 });
  await first.listenUnix(stale, 0o700);
  await expect(server.listenUnix(stale, 0o700)).rejects.toMatchObject({
    name: 'ListenError',
    code: 'address_in_use',
    message: `${stale} is served by another process`,
  });
  await first.close();
  // What a killed process leaves behind: the file of a socket with no one behind it.
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(stale, resolve));
  await new Promise((resolve) => holder.close(resolve));
  await server.listenUnix(stale, 0o700);
  expect(await ask(stale, 'x')).toBe('xx');

  const plain = join(directory, 'plain');
  writeFileSync(plain, 'kept');
  await expect(server.listenUnix(plain, 0o700)).rejects.toBeInstanceOf(ListenError);
});

test('a path over the bound of the system is refused with both numbers', async () => {
  const path = join(directory, 'x'.repeat(120));
  await expect(server.listenUnix(path, 0o700)).rejects.toMatchObject({
    code: 'socket_path_length',
  });
  await expect(server.listenUnix(path, 0o700)).rejects.toThrow('the system allows 107');
});

test('nobody there is an unavailable peer, named', async () => {
  await expect(ask(join(directory, 'nobody.sock'), 'x')).rejects.toBeInstanceOf(RpcError);
});
