/** Which client holds which version of which secret, since when, and who refuses: for operators and the CA. */

/** How one secret stands with one stream. */
export interface SecretStanding {
  /** As the client spells it. */
  readonly name: string;
  /** The newest version that was sent. */
  readonly version: string;
  readonly state: 'sent' | 'acknowledged' | 'refused';
  /** The client's own words, cut to a bound; for `refused` alone. */
  readonly error?: string;
  /** Wall time since which version and state are these. */
  readonly sinceMs: number;
  /** Hex key ids: the roots that a validation context holds, or the authority that issued the leaf. */
  readonly authorityKeyIds: readonly string[];
}

export type SdsPeer =
  | { readonly kind: 'process'; readonly pid: number; readonly uid: number }
  | { readonly kind: 'tls'; readonly spiffeId: string | undefined };

/** One stream. */
export interface SdsClient {
  readonly streamId: string;
  readonly connection: string;
  readonly peer: SdsPeer;
  readonly protocol: 'state_of_the_world' | 'delta';
  readonly openedMs: number;
  readonly names: readonly SecretStanding[];
  /** Names that the client asked for and that nothing was sent for: not ready, unknown or another's. */
  readonly waiting: readonly string[];
}

/** The streams of one server. */
export interface SdsClients {
  snapshot(): readonly SdsClient[];
  /** Undefined when the stream is gone. */
  get(streamId: string): SdsClient | undefined;
  /** Calls `listener` after every change of a stream's standing, and when it is gone; it must not throw. */
  subscribe(listener: (streamId: string) => void): () => void;
}

export interface SdsControl {
  /**
   * Makes the streams that hold the secret `name` send it again, with a nonce of its own and the same version;
   * without a name, everything they hold. Answers how many streams do.
   */
  resend(name?: string): number;
}

/** One stream as its session tells of it. */
export interface RegisteredStream {
  standing(): SdsClient;
  /** False if it holds nothing of that name. */
  resend(name: string | undefined): boolean;
}

export class SdsRegistry implements SdsClients, SdsControl {
  readonly #streams = new Map<string, RegisteredStream>();
  readonly #listeners = new Set<(streamId: string) => void>();

  add(streamId: string, stream: RegisteredStream): void {
    this.#streams.set(streamId, stream);
    this.changed(streamId);
  }

  remove(streamId: string): void {
    if (this.#streams.delete(streamId)) this.changed(streamId);
  }

  changed(streamId: string): void {
    for (const listener of this.#listeners) listener(streamId);
  }

  snapshot(): readonly SdsClient[] {
    return Array.from(this.#streams.values(), (stream) => stream.standing());
  }

  get(streamId: string): SdsClient | undefined {
    return this.#streams.get(streamId)?.standing();
  }

  subscribe(listener: (streamId: string) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  resend(name?: string): number {
    return Array.from(this.#streams.values()).filter((stream) => stream.resend(name)).length;
  }
}
