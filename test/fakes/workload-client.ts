/** A Workload API client that a test drives: what it was sent, and how its stream ended. */

import {
  type JWTBundlesResponse,
  type JWTSVIDResponse,
  SpiffeWorkloadAPIClient,
  type ValidateJWTSVIDResponse,
  type X509BundlesResponse,
  type X509SVIDResponse,
} from '../../api/index.ts';
import { metadataOf, unixChannel } from '../../rpc/index.ts';

export interface WorkloadStream<Message> {
  readonly messages: Message[];
  ended: { code: number; details: string } | undefined;
  cancel(): void;
}

export interface UnaryOutcome<Message> {
  readonly message: Message | undefined;
  /** 0 for success. */
  readonly code: number;
  readonly details: string;
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

  jwtBundles(header: Record<string, string> = securityHeader): WorkloadStream<JWTBundlesResponse> {
    return collect(this.client.fetchJwtBundles({}, metadataOf(header)));
  }

  jwtSvids(
    request: { readonly audience: readonly string[]; readonly spiffeId?: string },
    header: Record<string, string> = securityHeader,
  ): Promise<UnaryOutcome<JWTSVIDResponse>> {
    const { audience, spiffeId = '' } = request;
    return outcomeOf((done) =>
      this.client.fetchJwtsvid({ audience: [...audience], spiffeId }, metadataOf(header), done),
    );
  }

  validate(
    request: { readonly audience: string; readonly svid: string },
    header: Record<string, string> = securityHeader,
  ): Promise<UnaryOutcome<ValidateJWTSVIDResponse>> {
    return outcomeOf((done) => this.client.validateJwtsvid(request, metadataOf(header), done));
  }

  close(): void {
    this.client.close();
  }
}

const securityHeader = { 'workload.spiffe.io': 'true' };

function outcomeOf<Message>(
  call: (
    done: (error: { code: number; details: string } | null, message?: Message) => void,
  ) => unknown,
): Promise<UnaryOutcome<Message>> {
  return new Promise((resolve) => {
    call((error, message) =>
      resolve({ message, code: error?.code ?? 0, details: error?.details ?? '' }),
    );
  });
}

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
