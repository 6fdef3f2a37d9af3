/** Our minimal Envoy messages against Envoy's own .proto files: what we encode, they decode, and the other way round. */

import { Buffer } from 'node:buffer';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import { expect, test } from 'vitest';
import {
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
  Secret,
  SPIFFECertValidatorConfig,
  secretTypeUrl,
  spiffeValidatorTypeUrl,
} from '../../api/index.ts';
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
