/**
 * Evidence for the attestor `x509pop`: the machine's certificate, and a signature by its key over a nonce
 * of the CA and the request for the node SVID.
 */

import { createPrivateKey, hash, type KeyObject } from 'node:crypto';
import { X509PopEvidence } from '../api/index.ts';
import { CodedError, concatBytes, readText, readWhole, utf8Bytes } from '../core/index.ts';
import { type Certificate, keySigner, parsePemCertificates, spkiOf } from '../pki/index.ts';
import { AgentError } from './agent-error.ts';
import type { NodeEvidence } from './node-evidence.ts';

/** Files of the machine, both PEM: a chain with the leaf first, and an unencrypted key. */
export interface X509PopFiles {
  readonly certificate: string;
  readonly key: string;
}

export function x509popEvidence(files: X509PopFiles): NodeEvidence {
  return {
    attestor: 'x509pop',
    remedy: `see whether the CA's attestors.x509pop.caBundle has the authority of ${files.certificate}`,
    async create(api, csr) {
      // Read at each try, so that a certificate replaced meanwhile is the one that is shown.
      const { chain, privateKey } = await readFiles(files);
      const nonce = new Uint8Array((await api.challenge({ attestor: 'x509pop' })).nonce);
      const csrHash = new Uint8Array(hash('sha256', csr, 'buffer'));
      const signed = concatBytes(utf8Bytes('signet x509pop v1\0'), nonce, csrHash);
      const signature = await keySigner(privateKey).sign(signed);
      const evidence = X509PopEvidence.encode({
        chain: chain.map(({ der }) => Buffer.from(der)),
        nonce: Buffer.from(nonce),
        signature: Buffer.from(signature),
      });
      return evidence.finish();
    },
  };
}

async function readFiles(
  files: X509PopFiles,
): Promise<{ readonly chain: readonly Certificate[]; readonly privateKey: KeyObject }> {
  const chain = await readChain(files.certificate);
  const privateKey = await readKey(files.key);
  const [leaf] = chain;
  if (leaf !== undefined && Buffer.from(leaf.spki).equals(spkiOf(privateKey))) {
    return { chain, privateKey };
  }
  throw unusable(`${files.key} is not the key of the first certificate in ${files.certificate}`);
}

async function readChain(path: string): Promise<readonly Certificate[]> {
  const text = await readText(path);
  try {
    return parsePemCertificates(text);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    throw unusable(`${path} is not a PEM file of certificates`, error);
  }
}

async function readKey(path: string): Promise<KeyObject> {
  const bytes = Buffer.from(await readWhole(path));
  try {
    return createPrivateKey(bytes);
  } catch (cause) {
    // OpenSSL's message names a decoder and never the content.
    throw unusable(`${path} is not an unencrypted private key in PEM`, cause);
  } finally {
    bytes.fill(0);
  }
}

function unusable(message: string, cause?: unknown): AgentError {
  return new AgentError('x509pop_files', 'failed_precondition', message, {
    cause,
    remedy: 'give the machine’s certificate and key under attest.x509pop',
  });
}
