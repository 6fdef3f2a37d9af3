import { Buffer } from 'node:buffer';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { containsKey, keyPatternsOf, scanFiles } from './key-scan.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const { privateKey: otherKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const patterns = keyPatternsOf(privateKey);
const pem = (type: 'pkcs8' | 'sec1'): Buffer =>
  Buffer.from(privateKey.export({ type, format: 'pem' }));
const der = privateKey.export({ type: 'pkcs8', format: 'der' });
const scalar = Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url');

test.for([
  ['PKCS#8 PEM', pem('pkcs8')],
  ['SEC1 PEM', pem('sec1')],
  ['PEM inside a JSON string', Buffer.from(JSON.stringify({ key: pem('pkcs8').toString() }))],
  [
    'PEM with other line lengths',
    Buffer.from(der.toString('base64').replaceAll(/.{40}/g, '$&\r\n')),
  ],
  ['DER', der],
  ['the bare scalar', scalar],
  ['the scalar in hexadecimal', Buffer.from(scalar.toString('hex'))],
  ['the scalar in capitals', Buffer.from(scalar.toString('hex').toUpperCase())],
  ['a JWK', Buffer.from(JSON.stringify(privateKey.export({ format: 'jwk' })))],
  [
    'base64 at one byte off',
    Buffer.from(Buffer.concat([Buffer.from('x'), der]).toString('base64')),
  ],
  [
    'base64 at two bytes off',
    Buffer.from(Buffer.concat([Buffer.from('xy'), der]).toString('base64')),
  ],
] as const)('a key is found in %s, amid other bytes', ([, form]) => {
  const hidden = Buffer.concat([Buffer.from('before '), form, Buffer.from(' after')]);
  expect(containsKey(hidden, patterns)).toBe(true);
  expect(containsKey(hidden, keyPatternsOf(otherKey))).toBe(false);
});

test('a key is not found where there is none', () => {
  expect(containsKey(randomBytes(100_000), patterns)).toBe(false);
  expect(containsKey(Buffer.alloc(0), patterns)).toBe(false);
});

test('every file below a folder is read, but for those left out', () => {
  const directory = mkdtempSync(join(tmpdir(), 'scan-'));
  try {
    mkdirSync(join(directory, 'a/b'), { recursive: true });
    mkdirSync(join(directory, 'bin'));
    writeFileSync(join(directory, 'a/b/key.pem'), pem('pkcs8'));
    writeFileSync(join(directory, 'clean'), 'nothing');
    writeFileSync(join(directory, 'bin/key.pem'), pem('pkcs8'));
    const result = scanFiles(
      directory,
      [join(directory, 'bin')],
      [keyPatternsOf(otherKey), patterns],
    );
    expect(result.files).toBe(2);
    expect(result.hits).toEqual([{ path: join(directory, 'a/b/key.pem'), key: 1 }]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('files that a program replaces while they are read are no failure', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'scan-'));
  // The program has a name of its own for each round, as the audit log's newest tile does.
  const churn = new Worker(
    `const { writeFileSync, rmSync, mkdirSync } = require('node:fs');
     const { workerData, parentPort } = require('node:worker_threads');
     for (let round = 0; ; round += 1) {
       mkdirSync(workerData + '/' + round);
       writeFileSync(workerData + '/' + round + '/tile', 'bytes');
       rmSync(workerData + '/' + round, { recursive: true });
       if (round === 10) parentPort.postMessage('going');
     }`,
    { eval: true, workerData: directory },
  );
  try {
    await once(churn, 'message');
    writeFileSync(join(directory, 'key.pem'), pem('pkcs8'));
    for (let round = 0; round < 1000; round += 1) {
      expect(scanFiles(directory, [], [patterns]).hits).toHaveLength(1);
    }
  } finally {
    await churn.terminate();
    rmSync(directory, { recursive: true });
  }
});
