/** How a subscription sees secrets: by name and version, never by content, so that no stream keeps a key alive. */

/** What a subscription knows of one secret. One value per content, shared by all streams. */
export interface SecretSummary {
  /** Content hash: equal content has an equal version in every process, so a restart pushes nothing new. */
  readonly version: string;
  /** Hex key ids of the roots that a validation context holds; empty for any other secret. */
  readonly rootKeyIds: readonly string[];
  /** Hex key ids: those roots, or the authority that issued the leaf. */
  readonly authorityKeyIds: readonly string[];
}

/** The secrets that the stream's caller may see at the moment of an event. */
export interface SecretView {
  get(name: string): SecretSummary | undefined;
  /** One name for each secret. */
  names(): readonly string[];
  /** For a name that {@link get} does not know: true if the secret is on its way, so that absence is not yet told. */
  isPending(name: string): boolean;
  /** True for a secret that is fetched for those who name it, and is no part of everything. */
  isOnDemand(name: string): boolean;
}
