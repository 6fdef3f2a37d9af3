/** `openssl speed ecdsap256`: what the signature alone costs in C. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { BenchError } from '../bench-error.ts';
import { perOperation } from '../in-process.ts';
import type { Candidate, Sample } from '../measurement.ts';

/** Signs and verifies for a whole number of seconds each, which is all that openssl takes. */
export function opensslSpeed(openssl: string): Candidate {
  return {
    name: 'openssl speed',
    warmsUp: false,
    async measure(seconds) {
      const whole = String(Math.max(1, Math.round(seconds)));
      const { stdout } = await run(openssl, ['speed', '-mr', '-seconds', whole, 'ecdsap256']);
      return parseOpensslSpeed(stdout);
    },
  };
}

/** Reads the machine's form: `+F4:curve:bits:signatures:verifications`, per second of CPU time. */
export function parseOpensslSpeed(text: string): readonly Sample[] {
  const rates = /^\+F4:\d+:256:([\d.]+):([\d.]+)$/m.exec(text)?.slice(1).map(Number);
  const [sign = 0, verify = 0] = rates ?? [];
  if (!(sign > 0 && verify > 0)) {
    throw new BenchError('bench_output', `openssl speed gave no rate: ${text.slice(0, 200)}`);
  }
  return [
    { row: 'openssl speed: sign', figures: perOperation(1e6, sign) },
    { row: 'openssl speed: verify', figures: perOperation(1e6, verify) },
  ];
}

const run = promisify(execFile);
