/** Our minimal Envoy messages against Envoy's own .proto files: what we encode, they decode, and the other way round. */

import { Buffer } from 'node:buffer';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import { expect, test } from 'vitest';
import {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
  Secret,
  SPIFFECertValidatorConfig,
  secretTypeUrl,
  spiffeValidatorTypeUrl,
} from '../../api/index.ts';
import { createResourceEncoder } from '../../sds-server/resource.ts';
import { projectRoot } from '../architecture/source-files.ts';

const envoyProtos = join(projectRoot, 'node_modules/@grpc/grpc-js-xds/deps');
const theirs = loadSync(
  [
    'envoy/service/discovery/v3/discovery.proto',
    'envoy/extensions/transport_sockets/tls/v3/secret.proto',
    'envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.proto',
  ],
  {
    includeDirs: ['envoy-api', 'xds', 'protoc-gen-validate', 'googleapis'].map((name) =>
      join(envoyProtos, name),
    ),
    keepCase: true,
    bytes: Buffer,
    oneofs: true,
    longs: String,
  },
);

/** Decodes with Envoy's own definition. */
function decode(name: string, bytes: Uint8Array): Record<string, unknown> {
  return messageType(name).deserialize(Buffer.from(bytes)) as Record<string, unknown>;
}

function encode(name: string, value: object): Uint8Array {
  return messageType(name).serialize(value);
}

function messageType(name: string): MessageTypeDefinition<object, object> {
  const definition = theirs[name];
  if (definition === undefined || !('deserialize' in definition))
    throw new Error(`no message ${name}`);
  return definition as MessageTypeDefinition<object, object>;
}

const tls = 'envoy.extensions.transport_sockets.tls.v3';
const discovery = 'envoy.service.discovery.v3';
const inline = (text: string) =>
  ({ specifier: { $case: 'inlineBytes', value: Buffer.from(text) } }) as const;

test("Envoy's definitions were found", () => {
  expect(
    globSync('envoy-api/envoy/service/secret/v3/sds.proto', { cwd: envoyProtos }),
  ).toHaveLength(1);
});

test('a certificate secret', () => {
  const bytes = Secret.encode({
    name: 'default',
    type: {
      $case: 'tlsCertificate',
      value: { certificateChain: inline('chain'), privateKey: inline('key') },
    },
  }).finish();
  expect(decode(`${tls}.Secret`, bytes)).toMatchObject({
    name: 'default',
    type: 'tls_certificate',
    tls_certificate: {
      certificate_chain: { inline_bytes: Buffer.from('chain') },
      private_key: { inline_bytes: Buffer.from('key') },
    },
  });
});

test('a validation context with a plain list and one for the SPIFFE validator', () => {
  const validator = SPIFFECertValidatorConfig.encode({
    trustDomains: [{ name: 'mesh.test', trustBundle: inline('roots') }],
  }).finish();
  const bytes = Secret.encode({
    name: 'ALL',
    type: {
      $case: 'validationContext',
      value: {
        trustedCa: inline('roots'),
        crl: inline('crl'),
        onlyVerifyLeafCertCrl: true,
        customValidatorConfig: {
          name: 'envoy.tls.cert_validator.spiffe',
          typedConfig: { typeUrl: spiffeValidatorTypeUrl, value: Buffer.from(validator) },
        },
      },
    },
  }).finish();
  expect(decode(`${tls}.Secret`, bytes)).toMatchObject({
    type: 'validation_context',
    validation_context: {
      trusted_ca: { inline_bytes: Buffer.from('roots') },
      crl: { inline_bytes: Buffer.from('crl') },
      only_verify_leaf_cert_crl: true,
      custom_validator_config: { name: 'envoy.tls.cert_validator.spiffe' },
    },
  });
  expect(decode(`${tls}.SPIFFECertValidatorConfig`, validator)).toMatchObject({
    trust_domains: [{ name: 'mesh.test', trust_bundle: { inline_bytes: Buffer.from('roots') } }],
  });
});

test('session-ticket keys, and a generic secret of one value', () => {
  const resource = createResourceEncoder();
  const keys = [1, 2].map((byte) => new Uint8Array(80).fill(byte));
  const tickets = resource({ kind: 'ticket_keys', ticketKeys: { keys } }, 'session-ticket-keys');
  expect(tickets.encoded.typeUrl).toBe(secretTypeUrl);
  expect(decode(`${tls}.Secret`, tickets.encoded.value)).toMatchObject({
    name: 'session-ticket-keys',
    type: 'session_ticket_keys',
    session_ticket_keys: { keys: keys.map((key) => ({ inline_bytes: Buffer.from(key) })) },
  });
  const secret = { name: 'db', version: 3n, values: new Map([['', new Uint8Array([7, 8])]]) };
  expect(
    decode(`${tls}.Secret`, resource({ kind: 'named', secret }, 'secret:db').encoded.value),
  ).toMatchObject({
    name: 'secret:db',
    type: 'generic_secret',
    generic_secret: { secret: { inline_bytes: Buffer.from([7, 8]) } },
  });
});

test('a response, and a request with everything Envoy puts into one', () => {
  const bytes = DiscoveryResponse.encode({
    versionInfo: 'v',
    resources: [
      {
        typeUrl: secretTypeUrl,
        value: Buffer.from(Secret.encode({ name: 'x', type: undefined }).finish()),
      },
    ],
    typeUrl: secretTypeUrl,
    nonce: 'n',
    controlPlane: { identifier: 'signet' },
  }).finish();
  expect(decode(`${discovery}.DiscoveryResponse`, bytes)).toMatchObject({
    version_info: 'v',
    type_url: secretTypeUrl,
    nonce: 'n',
    control_plane: { identifier: 'signet' },
  });
  const request = DiscoveryRequest.decode(
    encode(`${discovery}.DiscoveryRequest`, {
      version_info: 'v',
      node: {
        id: 'n1',
        cluster: 'c1',
        user_agent_name: 'envoy',
        user_agent_build_version: { version: { major_number: 1, minor_number: 40 } },
        locality: { region: 'r' },
        extensions: [{ name: 'e', category: 'k' }],
        client_features: ['f'],
      },
      resource_names: ['default', 'ALL'],
      type_url: secretTypeUrl,
      response_nonce: 'n',
      error_detail: { code: 3, message: 'bad' },
    }),
  );
  expect(request).toMatchObject({
    versionInfo: 'v',
    node: { id: 'n1', cluster: 'c1', userAgentName: 'envoy' },
    resourceNames: ['default', 'ALL'],
    typeUrl: secretTypeUrl,
    responseNonce: 'n',
    errorDetail: { code: 3, message: 'bad' },
  });
});

test('session ticket keys and generic secrets', () => {
  const keys = Secret.encode({
    name: 'session-ticket-keys',
    type: { $case: 'sessionTicketKeys', value: { keys: [inline('one'), inline('two')] } },
  }).finish();
  expect(decode(`${tls}.Secret`, keys)).toMatchObject({
    type: 'session_ticket_keys',
    session_ticket_keys: {
      keys: [{ inline_bytes: Buffer.from('one') }, { inline_bytes: Buffer.from('two') }],
    },
  });
  const generic = Secret.encode({
    name: 'oauth',
    type: {
      $case: 'genericSecret',
      value: { secret: inline('plain'), secrets: { hmac: inline('h'), token: inline('t') } },
    },
  }).finish();
  // The definitions that npm has know the single value alone; the map is newer, and skipped by them.
  expect(decode(`${tls}.Secret`, generic)).toMatchObject({
    type: 'generic_secret',
    generic_secret: { secret: { inline_bytes: Buffer.from('plain') } },
  });
  const theirSecret = encode(`${tls}.Secret`, {
    name: 'oauth',
    generic_secret: { secret: { inline_bytes: Buffer.from('plain') } },
  });
  expect(Secret.decode(theirSecret)).toMatchObject({
    name: 'oauth',
    type: { $case: 'genericSecret', value: { secret: inline('plain') } },
  });
});

test('a delta response', () => {
  const bytes = DeltaDiscoveryResponse.encode({
    systemVersionInfo: 's',
    resources: [
      {
        name: 'default',
        version: 'v',
        resource: { typeUrl: secretTypeUrl, value: Buffer.from('') },
      },
    ],
    typeUrl: secretTypeUrl,
    nonce: 'n',
    removedResources: ['gone'],
    controlPlane: undefined,
  }).finish();
  expect(decode(`${discovery}.DeltaDiscoveryResponse`, bytes)).toMatchObject({
    system_version_info: 's',
    resources: [{ name: 'default', version: 'v' }],
    nonce: 'n',
    removed_resources: ['gone'],
  });
});

test('a delta request with everything Envoy puts into one, and a delta response as they would write it', () => {
  const request = DeltaDiscoveryRequest.decode(
    encode(`${discovery}.DeltaDiscoveryRequest`, {
      node: { id: 'n1', cluster: 'c1', user_agent_name: 'envoy', client_features: ['f'] },
      type_url: secretTypeUrl,
      resource_names_subscribe: ['default', 'ALL'],
      resource_names_unsubscribe: ['ROOTCA'],
      resource_locators_subscribe: [{ name: 'newer', dynamic_parameters: { k: 'v' } }],
      initial_resource_versions: { default: 'v1', ALL: 'v2' },
      response_nonce: 'n',
      error_detail: { code: 3, message: 'bad' },
    }),
  );
  expect(request).toEqual({
    node: { id: 'n1', cluster: 'c1', userAgentName: 'envoy', metadata: undefined },
    typeUrl: secretTypeUrl,
    resourceNamesSubscribe: ['default', 'ALL'],
    resourceNamesUnsubscribe: ['ROOTCA'],
    initialResourceVersions: { default: 'v1', ALL: 'v2' },
    responseNonce: 'n',
    errorDetail: { code: 3, message: 'bad' },
  });
  expect(
    decode(`${discovery}.DeltaDiscoveryRequest`, DeltaDiscoveryRequest.encode(request).finish()),
  ).toMatchObject({
    resource_names_subscribe: ['default', 'ALL'],
    resource_names_unsubscribe: ['ROOTCA'],
    initial_resource_versions: { default: 'v1', ALL: 'v2' },
    error_detail: { code: 3, message: 'bad' },
  });
  const response = DeltaDiscoveryResponse.decode(
    encode(`${discovery}.DeltaDiscoveryResponse`, {
      system_version_info: 's',
      resources: [
        {
          name: 'default',
          version: 'v',
          resource: { type_url: secretTypeUrl, value: Buffer.from('x') },
          ttl: { seconds: 3 },
          cache_control: { do_not_cache: true },
        },
      ],
      removed_resources: ['gone'],
      nonce: 'n',
      type_url: secretTypeUrl,
    }),
  );
  expect(response).toMatchObject({
    resources: [{ name: 'default', version: 'v', resource: { value: Buffer.from('x') } }],
    removedResources: ['gone'],
    nonce: 'n',
  });
});
