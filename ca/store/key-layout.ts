/**
 * Every key of the store, in one place.
 *
 * | key | value |
 * | --- | --- |
 * | `entries/<entry id>` | a registration entry |
 * | `entry-identity/<hash>` | the id of the one entry with this parent, SPIFFE ID and selectors |
 * | `nodes/<attestor>/<name>` | an attested node, under the tail of its SPIFFE ID |
 * | `tokens/<token id>` | a join token (its hash, never its text) |
 * | `rules/<rule id>` | an identity rule |
 * | `revocations/<serial>` | a revoked certificate that has not ended long ago |
 * | `revocation-lists/<key id>` | the newest signed list of an issuing authority |
 * | `blocked-ids/<SPIFFE ID>` | nothing is issued for this ID |
 * | `authorities/<key id>` | an authority of either tier: certificate, state, sealed key |
 * | `secrets/<name>` | a named secret: its access rule and its versions, without their values |
 * | `secret-values/<name>/<version>` | the sealed values of one version |
 * | `federated-bundles/<trust domain>` | the bundle of another trust domain |
 * | `settings/identity` | the trust domain, and a value sealed under the key-encryption key |
 * | `settings/authorities` | the bundle's sequence; written with every change of an authority |
 * | `settings/jwt-keys` | the keys of JWT-SVIDs: states, sealed keys, and their sequence |
 * | `settings/secrets-key` | the key that named secrets are sealed under, itself sealed |
 * | `settings/secrets` | how many named secrets there are, and the highest version of one that was deleted |
 * | `settings/ticket-masters` | what session-ticket keys are derived from, sealed, one for each epoch |
 * | `settings/serial-epoch` | the last epoch of serial numbers that was taken |
 * | `settings/clock-high` | the highest wall time seen, in steps |
 * | `settings/audit-log` | the newest checkpoint of the audit log that the store knows of |
 * | `settings/audit-key` | the sealed key that signs the audit log's checkpoints |
 *
 * Keys are printable ASCII, so that byte order and string order are one.
 */

export const storePrefixes = {
  entries: 'entries/',
  entryIdentities: 'entry-identity/',
  nodes: 'nodes/',
  tokens: 'tokens/',
  rules: 'rules/',
  revocations: 'revocations/',
  revocationLists: 'revocation-lists/',
  blockedIds: 'blocked-ids/',
  authorities: 'authorities/',
  secrets: 'secrets/',
  secretValues: 'secret-values/',
  federatedBundles: 'federated-bundles/',
  settings: 'settings/',
} as const;

export const storeKeys = {
  entry: (entryId: string): string => storePrefixes.entries + entryId,
  entryIdentity: (hash: string): string => storePrefixes.entryIdentities + hash,
  /** `name` is the ID's path after `/signet/node/`: `<attestor>/<name>`. */
  node: (name: string): string => storePrefixes.nodes + name,
  token: (tokenId: string): string => storePrefixes.tokens + tokenId,
  rule: (ruleId: string): string => storePrefixes.rules + ruleId,
  revocation: (serial: string): string => storePrefixes.revocations + serial,
  revocationList: (keyId: string): string => storePrefixes.revocationLists + keyId,
  blockedId: (spiffeId: string): string => storePrefixes.blockedIds + spiffeId,
  authority: (keyId: string): string => storePrefixes.authorities + keyId,
  secret: (name: string): string => storePrefixes.secrets + name,
  secretValues: (name: string, version: number): string =>
    `${storePrefixes.secretValues}${name}/${version}`,
  federatedBundle: (trustDomain: string): string => storePrefixes.federatedBundles + trustDomain,
  setting: (name: string): string => storePrefixes.settings + name,
} as const;

/** The one setting that is more than one file's: whoever begins a new log takes its key away. */
export const auditKeyKey = storeKeys.setting('audit-key');
