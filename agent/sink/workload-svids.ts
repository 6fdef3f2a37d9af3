/** This process's own SVIDs from the Workload API, read as every client reads them, and again whenever they rotate. */

import { SpiffeWorkloadAPIClient, type X509SVIDResponse } from '../../api/index.ts';
import {
  type BackoffPolicy,
  backoffMs,
  type Clock,
  type Closable,
  describeError,
  type Logger,
  type Random,
  sleep,
} from '../../core/index.ts';
import { parseCertificate, privateKeyFromPkcs8Der, splitCertificates } from '../../pki/index.ts';
import { messagesOf, metadataOf, unixChannel } from '../../rpc/index.ts';
import { parseX509Svid } from '../../spiffe/index.ts';
import { SinkError } from './sink-error.ts';
import type { ExportedSvid } from './svid-files.ts';

/** In the API's order: the first is the default identity. */
export type OwnSvids = readonly ExportedSvid[];

/** Yields what the agent on `socket` gives this process, now and later. Throws RpcError when the stream breaks. */
export async function* ownSvids(socket: string, signal: AbortSignal): AsyncGenerator<OwnSvids> {
  const channel = unixChannel(socket);
  const client = new SpiffeWorkloadAPIClient(channel.target, channel.credentials, channel.options);
  let cancel = (): void => {};
  try {
    // E-2: every request carries this header, which a browser cannot be made to send.
    const stream = client.fetchX509Svid({}, metadataOf({ 'workload.spiffe.io': 'true' }));
    cancel = () => stream.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    for await (const message of messagesOf(`agent on ${socket}`, stream)) {
      yield message.svids.map(readSvid);
    }
  } finally {
    signal.removeEventListener('abort', cancel);
    client.close();
  }
}

/** The one that is asked for, else the default. Throws {@link SinkError}. */
export function chosenSvid(svids: OwnSvids, spiffeId: string | undefined): ExportedSvid {
  const found = spiffeId === undefined ? svids[0] : svids.find(({ id }) => id === spiffeId);
  if (found !== undefined) return found;
  const has = svids.map(({ id }) => id).join(', ') || 'nothing';
  throw new SinkError(
    'sink_identity',
    'not_found',
    `this process has no SVID ${spiffeId ?? ''}: it has ${has}`,
    { remedy: 'see what its entries say with: signet svid fetch' },
  );
}

/** Calls `onSvids` with each state for as long as it runs, through restarts of the agent. */
export function followSvids(p: {
  readonly socket: string;
  readonly onSvids: (svids: OwnSvids) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}): Closable {
  const ended = new AbortController();
  const run = async (): Promise<void> => {
    let failures = 0;
    while (!ended.signal.aborted) {
      try {
        for await (const svids of ownSvids(p.socket, ended.signal)) {
          failures = 0;
          p.onSvids(svids);
        }
      } catch (error) {
        if (ended.signal.aborted) return;
        p.log[failures === 0 ? 'warn' : 'debug'](
          'the agent gives no SVID; what was written stays',
          {
            reason: describeError(error),
          },
        );
      }
      await sleep(p.clock, backoffMs(agentBackoff, failures, p.random), ended.signal);
      failures += 1;
    }
  };
  const running = run();
  return {
    async close() {
      ended.abort();
      await running;
    },
  };
}

function readSvid(svid: X509SVIDResponse['svids'][number]): ExportedSvid {
  const { id, chain } = parseX509Svid(splitCertificates(new Uint8Array(svid.x509Svid)));
  const privateKey = privateKeyFromPkcs8Der(svid.x509SvidKey);
  // The message is ours alone, and what matters of it is in the key object now.
  svid.x509SvidKey.fill(0);
  const roots = splitCertificates(new Uint8Array(svid.bundle)).map(parseCertificate);
  return { id, chain, privateKey, roots };
}

// E-5: a client comes back with growing waits; a restarted agent is there within seconds.
const agentBackoff: BackoffPolicy = { baseMs: 200, maxMs: 10_000 };
