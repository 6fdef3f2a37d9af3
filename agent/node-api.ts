/** What the agent needs of the CA, as a port: the wire is one implementation, a fake in a test another. */

import type {
  AttestRequest,
  AttestResponse,
  ChallengeRequest,
  ChallengeResponse,
  MintJwtSvidsRequest,
  MintJwtSvidsResponse,
  ReadSecretRequest,
  ReadSecretResponse,
  RenewRequest,
  RenewResponse,
  SessionTicketKeysRequest,
  SessionTicketKeysResponse,
  SignX509SvidsRequest,
  SignX509SvidsResponse,
  SyncRequest,
  SyncResponse,
} from '../api/index.ts';
import type { Closable } from '../core/index.ts';

/** Every call rejects with RpcError, whose `kind` says whether it is worth a retry. */
export interface NodeApi extends Closable {
  challenge(request: ChallengeRequest): Promise<ChallengeResponse>;
  attest(request: AttestRequest): Promise<AttestResponse>;
  renew(request: RenewRequest): Promise<RenewResponse>;
  signX509Svids(request: SignX509SvidsRequest): Promise<SignX509SvidsResponse>;
  mintJwtSvids(request: MintJwtSvidsRequest): Promise<MintJwtSvidsResponse>;
  readSecret(request: ReadSecretRequest): Promise<ReadSecretResponse>;
  sessionTicketKeys(request: SessionTicketKeysRequest): Promise<SessionTicketKeysResponse>;
  sync(): SyncStream;
}

export interface SyncStream {
  send(request: SyncRequest): void;
  /** Ends when the CA ends the stream; throws RpcError when it breaks. */
  readonly responses: AsyncIterable<SyncResponse>;
  cancel(): void;
}
