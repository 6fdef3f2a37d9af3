/**
 * A process with the identity of a sidecar (it runs from the same executable path) that sees each key
 * the agent hands out, keeps it in memory, and at the end looks for all of them in the demo's files.
 * No key leaves this process: it answers with counts.
 */

import { createInterface } from 'node:readline';
import { Buffer } from 'node:buffer';
import { z } from 'zod';
import { SpiffeWorkloadAPIClient } from '../../api/index.ts';
import { parseCertificate, privateKeyFromPkcs8Der, splitCertificates } from '../../pki/index.ts';
import { metadataOf, unixChannel } from '../../rpc/index.ts';
import { containsKey, type KeyPatterns, keyPatternsOf, scanFiles } from './key-scan.ts';

const [socket = ''] = process.argv.slice(2);
const questionSchema = z.object({ directory: z.string(), except: z.array(z.string()) });
const keys = new Map<string, KeyPatterns>();
const channel = unixChannel(socket);

watch();

createInterface({ input: process.stdin }).on('line', (line) => {
  const { directory, except } = questionSchema.parse(JSON.parse(line));
  const patterns = [...keys.values()];
  const { files, bytes, hits } = scanFiles(directory, except, patterns);
  process.stdout.write(
    `${JSON.stringify({ serials: [...keys.keys()], files, bytes, hits, control: controlHolds(patterns) })}\n`,
  );
});

/** Follows the Workload API; after a break it begins again. */
function watch(): void {
  const client = new SpiffeWorkloadAPIClient(channel.target, channel.credentials, channel.options);
  const stream = client.fetchX509Svid({}, metadataOf({ 'workload.spiffe.io': 'true' }));
  stream.on('data', (message: { svids: { x509Svid: Uint8Array; x509SvidKey: Uint8Array }[] }) => {
    for (const svid of message.svids) {
      const [leaf] = splitCertificates(svid.x509Svid);
      if (leaf === undefined) continue;
      keys.set(
        parseCertificate(leaf).serial,
        keyPatternsOf(privateKeyFromPkcs8Der(svid.x509SvidKey)),
      );
    }
  });
  stream.on('error', () => {
    client.close();
    setTimeout(watch, retryMs);
  });
}

/** The scan must find a key that is there, or its "none found" would mean nothing. */
function controlHolds(patterns: readonly KeyPatterns[]): boolean {
  const [first] = patterns;
  const [scalar] = first ?? [];
  if (first === undefined || scalar === undefined) return false;
  const haystack = (needle: Buffer): Buffer =>
    Buffer.concat([Buffer.alloc(100, 7), needle, Buffer.alloc(100, 9)]);
  const pem = (
    haystack(scalar)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  ).join('\n');
  return [haystack(scalar), Buffer.from(scalar.toString('hex')), Buffer.from(pem)].every(
    (content) => containsKey(content, first),
  );
}

const retryMs = 200;
