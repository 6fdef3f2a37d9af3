/** The room table: who may import whom. The drawing in ARCHITECTURE.md must say the same. */

export interface Room {
  readonly name: string;
  readonly mayImport: readonly string[];
}

export const rooms: readonly Room[] = [
  { name: 'core', mayImport: [] },
  { name: 'pki', mayImport: ['core'] },
  { name: 'spiffe', mayImport: ['core', 'pki'] },
  { name: 'rpc', mayImport: ['core'] },
  { name: 'api', mayImport: ['core', 'rpc'] },
  { name: 'policies', mayImport: ['core', 'spiffe'] },
  { name: 'ca', mayImport: ['core', 'pki', 'spiffe', 'policies', 'rpc', 'api'] },
  { name: 'sds-server', mayImport: ['core', 'pki', 'spiffe', 'rpc', 'api'] },
  { name: 'agent', mayImport: ['core', 'pki', 'spiffe', 'rpc', 'api', 'sds-server'] },
  { name: 'proxy', mayImport: ['core', 'pki', 'spiffe', 'policies', 'rpc', 'api'] },
  {
    name: 'cli',
    mayImport: [
      'core',
      'pki',
      'spiffe',
      'policies',
      'rpc',
      'api',
      'ca',
      'sds-server',
      'agent',
      'proxy',
    ],
  },
  {
    name: 'bench',
    mayImport: [
      'core',
      'pki',
      'spiffe',
      'policies',
      'rpc',
      'api',
      'ca',
      'sds-server',
      'agent',
      'proxy',
      'cli',
    ],
  },
];

/** Inside some rooms the folders stand in an order too: `from` may import only itself and `mayImport`. */
export interface FolderRule {
  readonly from: string;
  readonly mayImport: readonly string[];
  readonly why: string;
}

export const folderRules: readonly FolderRule[] = [
  {
    from: 'proxy/protocol',
    mayImport: ['core'],
    why: 'a codec turns bytes into frames and never sees a socket, a certificate or a log',
  },
  {
    from: 'proxy/net',
    mayImport: ['core', 'pki', 'spiffe', 'policies', 'rpc'],
    why: 'NET/IO knows bytes, TLS and who the peer is, but no protocol',
  },
  {
    from: 'proxy/stream',
    mayImport: ['core', 'proxy/net', 'proxy/protocol'],
    why: 'a stream is a request and its response over any codec; it decides nothing',
  },
  {
    from: 'ca/audit',
    mayImport: ['core'],
    why: 'the log can be verified with nothing of the CA at hand',
  },
  {
    from: 'ca/store',
    mayImport: ['core'],
    why: 'a store knows keys and bytes, not what they mean',
  },
  {
    from: 'ca/registry',
    mayImport: ['core', 'spiffe', 'ca/store', 'ca/audit'],
    why: 'registry stands below attestation and issuance',
  },
  {
    from: 'ca/authority',
    mayImport: ['core', 'pki', 'spiffe', 'ca/store', 'ca/audit'],
    why: 'keys are out of reach of whatever talks to the network',
  },
  {
    from: 'ca/issuance',
    mayImport: [
      'core',
      'pki',
      'spiffe',
      'policies',
      'ca/store',
      'ca/audit',
      'ca/registry',
      'ca/authority',
    ],
    why: 'the issuance cycle is asked by the network and knows nothing of it',
  },
  {
    from: 'ca/jwt',
    mayImport: [
      'core',
      'pki',
      'spiffe',
      'ca/store',
      'ca/audit',
      'ca/registry',
      'ca/authority',
      'ca/issuance',
    ],
    why: 'tokens are minted beside certificates, by the same rules',
  },
  {
    from: 'ca/revocation',
    mayImport: ['core', 'pki', 'spiffe', 'ca/store', 'ca/audit', 'ca/authority'],
    why: 'a list is signed by the authority it is about',
  },
  {
    from: 'ca/attestation',
    mayImport: ['core', 'pki', 'spiffe', 'api', 'ca/store', 'ca/audit', 'ca/registry'],
    why: 'an attestor says who a node is, and signs nothing',
  },
];

/** Files that hold or open private keys, and the folders that must not know them. */
export const keyFiles = {
  files: ['key-store', 'seal', 'mint-authority', 'key-encryption-key', 'audit-key'].map(
    (name) => `ca/authority/${name}.ts`,
  ),
  outOfReachOf: ['ca/admin', 'ca/node-api', 'ca/attestation', 'ca/oidc', 'ca/registry'],
} as const;

/** Packages that only one room may know of, so that they can be replaced in one place. */
export const packageOwners: ReadonlyMap<string, readonly string[]> = new Map([
  ['@grpc/grpc-js', ['rpc', 'api']],
  ['koffi', ['rpc', 'agent']],
  ['level', ['ca']],
  ['fastify', ['ca']],
  ['pino', ['core']],
  ['@marcbachmann/cel-js', ['policies']],
  ['yaml', ['core', 'cli']],
  ['commander', ['cli']],
]);
