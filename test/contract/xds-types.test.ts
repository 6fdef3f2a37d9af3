/**
 * The generated types of `@grpc/grpc-js-xds`, a client of xDS that nobody here wrote, read what we send: real
 * certificates, roots and revocation lists in the responses as they leave, whose bytes are put together by hand.
 */

import { Buffer } from 'node:buffer';
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import type { Any__Output } from '@grpc/grpc-js-xds/build/src/generated/google/protobuf/Any.js';
import type { DataSource__Output } from '@grpc/grpc-js-xds/build/src/generated/envoy/config/core/v3/DataSource.js';
import type { Secret__Output } from '@grpc/grpc-js-xds/build/src/generated/envoy/extensions/transport_sockets/tls/v3/Secret.js';
import type { DeltaDiscoveryResponse__Output } from '@grpc/grpc-js-xds/build/src/generated/envoy/service/discovery/v3/DeltaDiscoveryResponse.js';
import type { DiscoveryResponse__Output } from '@grpc/grpc-js-xds/build/src/generated/envoy/service/discovery/v3/DiscoveryResponse.js';
import { expect, test } from 'vitest';
import { secretTypeUrl, spiffeValidatorName, spiffeValidatorTypeUrl } from '../../api/index.ts';
import { issueCrl } from '../../pki/index.ts';
import { createResourceEncoder } from '../../sds-server/resource.ts';
import { deltaResponseBytes, responseBytes } from '../../sds-server/response-bytes.ts';
import { bundleSetOf } from '../../spiffe/index.ts';
import { projectRoot } from '../architecture/source-files.ts';
import { makeTestPki } from '../fakes/test-pki.ts';

const nowMs = Date.UTC(2026, 0, 1);
const pki = await makeTestPki({ nowMs });
const partner = await makeTestPki({ nowMs: nowMs + 1, trustDomain: 'partner.test' });
const web = await pki.issueLeaf({ id: '/web' });
const crls = await Promise.all(
  [pki.issuing, pki.root].map(({ certificate, signer }) =>
    issueCrl(
      {
        issuer: certificate.subject,
        issuerKeyId: certificate.extensions.subjectKeyId ?? new Uint8Array(),
        number: 1n,
        thisUpdateMs: nowMs,
        nextUpdateMs: certificate.notAfterMs,
        revoked: [],
      },
      signer,
    ),
  ),
);

const encode = createResourceEncoder();
const bundles = bundleSetOf([pki.bundle, partner.bundle]);
const resources = [
  encode({ kind: 'svid', svid: web }, 'spiffe://mesh.test/web'),
  encode({ kind: 'bundle', bundle: pki.bundle, crls }, 'ROOTCA'),
  encode({ kind: 'all_bundles', bundles }, 'ALL'),
  encode({ kind: 'ticket_keys', ticketKeys: { keys: [new Uint8Array(80).fill(7)] } }, 'tickets'),
];
const action = {
  kind: 'send',
  nonce: 'n-1',
  version: 'v-1',
  names: [],
  removed: ['gone'],
} as const;

test('a state-of-the-world response', () => {
  const response = read(
    'envoy.service.discovery.v3.DiscoveryResponse',
    responseBytes(action, resources),
  );
  expect(response).toMatchObject({ version_info: 'v-1', nonce: 'n-1', type_url: secretTypeUrl });
  expectSecrets(response.resources.map(secretOf));
});

test('a delta response: each secret with its name and version, and what is gone', () => {
  const response = read(
    'envoy.service.discovery.v3.DeltaDiscoveryResponse',
    deltaResponseBytes(action, resources),
  );
  expect(response).toMatchObject({
    nonce: 'n-1',
    type_url: secretTypeUrl,
    removed_resources: ['gone'],
  });
  expect(response.resources.map(({ name, version }) => ({ name, version }))).toEqual(
    resources.map(({ name, summary: { version } }) => ({ name, version })),
  );
  expectSecrets(response.resources.map(({ resource }) => secretOf(resource)));
});

test('a response with nothing in it, and a delta response of what is gone alone', () => {
  const world = read('envoy.service.discovery.v3.DiscoveryResponse', responseBytes(action, []));
  expect(world.resources).toEqual([]);
  const delta = read(
    'envoy.service.discovery.v3.DeltaDiscoveryResponse',
    deltaResponseBytes(action, []),
  );
  expect(delta).toMatchObject({ resources: [], removed_resources: ['gone'] });
});

function expectSecrets([svid, roots, all, tickets, ...more]: readonly Secret__Output[]): void {
  expect(more).toEqual([]);
  expect(svid?.name).toBe('spiffe://mesh.test/web');
  const certificate = svid?.tls_certificate;
  expect(bytesOf(certificate?.certificate_chain).toString('latin1')).toBe(web.chainPem);
  expect(bytesOf(certificate?.private_key).toString('latin1')).toBe(web.keyPem);

  expect(roots?.name).toBe('ROOTCA');
  const context = roots?.validation_context;
  expect(new X509Certificate(bytesOf(context?.trusted_ca)).raw).toEqual(Buffer.from(pki.root.der));
  expect(
    bytesOf(context?.crl)
      .toString('latin1')
      .match(/BEGIN X509 CRL/g),
  ).toHaveLength(2);
  // There is a list for every authority of a chain.
  expect(context?.only_verify_leaf_cert_crl).toBe(false);

  expect(all?.name).toBe('ALL');
  const validator = all?.validation_context?.custom_validator_config;
  expect(validator?.name).toBe(spiffeValidatorName);
  expect(all?.validation_context?.trusted_ca).toBeNull();
  const { trust_domains: domains } = read(
    'envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig',
    valueOf(validator?.typed_config, spiffeValidatorTypeUrl),
  );
  expect(domains.map(({ name }) => name)).toEqual(['mesh.test', 'partner.test']);
  expect(domains.map(({ trust_bundle }) => new X509Certificate(bytesOf(trust_bundle)).raw)).toEqual(
    [pki, partner].map(({ root }) => Buffer.from(root.der)),
  );

  expect(tickets?.session_ticket_keys?.keys.map((key) => bytesOf(key).length)).toEqual([80]);
}

/** What each message is read as. */
interface Outputs {
  'envoy.service.discovery.v3.DiscoveryResponse': DiscoveryResponse__Output;
  'envoy.service.discovery.v3.DeltaDiscoveryResponse': DeltaDiscoveryResponse__Output;
  'envoy.extensions.transport_sockets.tls.v3.Secret': Secret__Output;
  'envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig': ValidatorOutput;
}

/** Not among the types of that package, which has no use for it; its .proto is. */
interface ValidatorOutput {
  readonly trust_domains: readonly {
    readonly name: string;
    readonly trust_bundle: DataSource__Output | null;
  }[];
}

function secretOf(any: Any__Output | null): Secret__Output {
  return read('envoy.extensions.transport_sockets.tls.v3.Secret', valueOf(any, secretTypeUrl));
}

function valueOf(any: Any__Output | null | undefined, typeUrl: string): Buffer {
  expect(any?.type_url).toBe(typeUrl);
  return any?.value ?? Buffer.alloc(0);
}

function bytesOf(source: DataSource__Output | null | undefined): Buffer {
  expect(source?.specifier).toBe('inline_bytes');
  return source?.inline_bytes ?? Buffer.alloc(0);
}

function read<Name extends keyof Outputs>(name: Name, bytes: Uint8Array): Outputs[Name] {
  const definition = theirs[name];
  if (definition === undefined || !('deserialize' in definition)) {
    throw new Error(`no message ${name}`);
  }
  return (definition as MessageTypeDefinition<object, Outputs[Name]>).deserialize(
    Buffer.from(bytes),
  );
}

const deps = join(projectRoot, 'node_modules/@grpc/grpc-js-xds/deps');
// The options that its types were generated with: they say what an `…__Output` looks like.
const theirs = loadSync(
  [
    'envoy/service/discovery/v3/discovery.proto',
    'envoy/extensions/transport_sockets/tls/v3/secret.proto',
    'envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.proto',
  ],
  {
    includeDirs: ['envoy-api', 'xds', 'protoc-gen-validate', 'googleapis'].map((name) =>
      join(deps, name),
    ),
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  },
);
