/** The door of `sds-server/`: Envoy's Secret Discovery Service over any source of secrets. */

export { privateKeyPemBytes } from './key-pem.ts';
export { type SecretAliases } from './secret-name.ts';
export { type KeyedSvid, type SecretSet, type SecretSource } from './secret-source.ts';
export { addSecretDiscovery, type SecretDiscoveryOptions } from './server.ts';
export { type StreamTrust, type TrustObserver } from './stream-trust.ts';
