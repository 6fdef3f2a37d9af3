/** `cfssl serve`: CloudFlare's certificate authority, asked over HTTP and JSON as it wants to be. */

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { z } from 'zod';
import { freePorts } from '../../core/index.ts';
import type { Closable } from '../../core/index.ts';
import { pemEncode } from '../../pki/index.ts';
import { BenchError } from '../bench-error.ts';
import { startProgram, untilReady } from '../child-program.ts';
import { processCpuMicros } from '../cpu-time.ts';
import { perOperation } from '../in-process.ts';
import type { Candidate } from '../measurement.ts';
import { inLanes } from '../lanes.ts';

export interface Cfssl extends Closable {
  readonly candidate: Candidate;
}

/** It has no node to authorize, no policy, no audit record and no TLS: what is left is HTTP and the certificate. */
export async function startCfssl(
  cfssl: string,
  directory: string,
  placed: readonly string[],
  requests: readonly Uint8Array[],
): Promise<Cfssl> {
  const [port = 0] = await freePorts(1);
  const file = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const name = file('cfssl-ca.json', '{"CN":"bench","key":{"algo":"ecdsa","size":256}}');
  const made = execFileSync(cfssl, ['gencert', '-initca', name], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const { cert, key } = authoritySchema.parse(JSON.parse(made));
  const usages = ['digital signature', 'server auth', 'client auth'];
  const config = JSON.stringify({ signing: { default: { expiry: '1h', usages } } });
  const program = startProgram({
    name: 'cfssl',
    directory,
    // Go runs on as many cores as it sees, and sees one.
    command: [
      ...placed,
      cfssl,
      'serve',
      '-loglevel=3',
      '-address=127.0.0.1',
      `-port=${port}`,
      `-ca=${file('cfssl-ca.pem', cert)}`,
      `-ca-key=${file('cfssl-ca-key.pem', key)}`,
      `-config=${file('cfssl-config.json', config)}`,
    ],
  });
  const agent = new Agent({ keepAlive: true, maxSockets: inFlight });
  const bodies = requests.map((der) =>
    JSON.stringify({
      certificate_request: pemEncode('CERTIFICATE REQUEST', der),
      hosts: ['bench.mesh.test'],
    }),
  );
  const sign = (at: number): Promise<string> =>
    post({ agent, port, body: bodies[at % bodies.length] ?? '' });
  try {
    await untilReady(program, () => sign(0));
  } catch (error) {
    await program.close();
    throw error;
  }
  const row = 'cfssl serve: /api/v1/cfssl/sign';
  let at = 0;
  const runFor = (milliseconds: number) =>
    inLanes(inFlight, milliseconds, async () => {
      checkAnswer(await sign(at++));
      return 1;
    });
  return {
    candidate: {
      name: row,
      async measure(seconds) {
        await runFor(seconds * 200);
        const before = processCpuMicros(program.pid);
        const operations = await runFor(seconds * 1000);
        const figures = perOperation(processCpuMicros(program.pid) - before, operations);
        return [{ row, figures }];
      },
    },
    async close() {
      agent.destroy();
      await program.close();
    },
  };
}

function post(p: {
  readonly agent: Agent;
  readonly port: number;
  readonly body: string;
}): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const { agent, port, body } = p;
  const target = { host: '127.0.0.1', port, agent, method: 'POST', path: '/api/v1/cfssl/sign' };
  const sent = request(target, (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (part: string) => {
      text += part;
    });
    response.once('end', () => resolve(text));
    response.once('error', reject);
  });
  sent.once('error', reject);
  sent.end(body);
  return promise;
}

function checkAnswer(text: string): void {
  if (text.includes('BEGIN CERTIFICATE')) return;
  throw new BenchError('bench_answer', `cfssl did not sign: ${text.slice(0, 200)}`);
}

const authoritySchema = z.object({ cert: z.string(), key: z.string() });
const inFlight = 32;
