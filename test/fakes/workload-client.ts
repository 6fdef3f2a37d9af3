/** A Workload API client that a test drives: what it was sent, and how its stream ended. */

import {
  SpiffeWorkloadAPIClient,
  type X509BundlesResponse,
  type X509SVIDResponse,
} from '../../api/index.ts';
import { metadataOf, unixChannel } from '../../rpc/index.ts';

export interface WorkloadStream<Message> {
  readonly messages: Message[];
  ended: { code: number; details: string } | undefined;
  cancel(): void;
}

export class WorkloadClient {
  readonly client: SpiffeWorkloadAPIClient;

  constructor(socketPath: string) {
    const channel = unixChannel(socketPath);
    this.client = new SpiffeWorkloadAPIClient(channel.target, channel.credentials, channel.options);
  }

  svids(header: Record<string, string> = securityHeader): WorkloadStream<X509SVIDResponse> {
    return collect(this.client.fetchX509Svid({}, metadataOf(header)));
  }

  bundles(header: Record<string, string> = securityHeader): WorkloadStream<X509BundlesResponse> {
    return collect(this.client.fetchX509Bundles({}, metadataOf(header)));
  }

  /** The status code that FetchJWTSVID ends with. */
  jwtCode(header: Record<string, string> = securityHeader): Promise<number | undefined> {
    return new Promise((resolve) => {
      this.client.fetchJwtsvid({ audience: ['a'], spiffeId: '' }, metadataOf(header), (error) =>
        resolve(error?.code),
      );
    });
  }

  close(): void {
    this.client.close();
  }
}

const securityHeader = { 'workload.spiffe.io': 'true' };

function collect<Message>(stream: {
  on(event: 'data', listener: (message: Message) => void): unknown;
  on(event: 'error', listener: () => void): unknown;
  on(event: 'status', listener: (status: { code: number; details: string }) => void): unknown;
  cancel(): void;
}): WorkloadStream<Message> {
  const collected: WorkloadStream<Message> = {
    messages: [],
    ended: undefined,
    cancel: () => stream.cancel(),
  };
  stream.on('data', (message) => collected.messages.push(message));
  stream.on('error', () => {});
  stream.on('status', (status) => {
    collected.ended = status;
  });
  return collected;
}
