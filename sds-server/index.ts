/** The door of `sds-server/`: Envoy's Secret Discovery Service over any source of secrets. */

export { privateKeyPemBytes } from './key-pem.ts';
export {
  type SdsClient,
  type SdsClients,
  type SdsControl,
  type SdsPeer,
  type SecretStanding,
} from './sds-clients.ts';
export { type AliasesVerdict, type AliasFault, checkAliases } from './secret-aliases.ts';
export { noAliases, type SecretAliases } from './secret-name.ts';
export {
  type KeyedSvid,
  type NamedSecret,
  type SecretSet,
  type SecretSource,
  type TicketKeys,
} from './secret-source.ts';
export { sdsMessageBytesMax } from './request-bounds.ts';
export {
  addSecretDiscovery,
  type SecretDiscovery,
  type SecretDiscoveryOptions,
} from './server.ts';
export { type StreamTrust, type TrustObserver } from './stream-trust.ts';
export { type SdsAdmission } from './sds-deps.ts';
