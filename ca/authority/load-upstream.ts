/** Reads an upstream from the operator's own files: a PEM chain with its key, or a PKCS#12 file. */

import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describeError, readText } from '../../core/index.ts';
import { type Certificate, parseCertificate, parsePem } from '../../pki/index.ts';
import { AuthorityError } from './authority-error.ts';
import { checkUpstream, type UpstreamRules } from './check-upstream.ts';
import { readPkcs12 } from './pkcs12.ts';
import type { Upstream } from './upstream.ts';

export type UpstreamSource =
  /** PEM: the chain with what the key belongs to first, and the unencrypted PKCS#8 key. */
  | { readonly certificate: string; readonly key: string }
  | { readonly pkcs12: string; readonly passwordFile: string }
  | { readonly pkcs12: string; readonly passwordEnv: string };

/** Throws {@link AuthorityError} `upstream_invalid`, or FileError. */
export async function loadUpstream(
  source: UpstreamSource,
  p: UpstreamRules & { readonly environment: Readonly<Record<string, string | undefined>> },
): Promise<Upstream> {
  if ('pkcs12' in source) {
    const file = await readBytes(source.pkcs12);
    const { chain, privateKey } = await readPkcs12(
      file,
      await passwordOf(source, p.environment),
      source.pkcs12,
    );
    return checkUpstream(chain, privateKey, source.pkcs12, p);
  }
  const chain = readChain(await readText(source.certificate), source.certificate);
  const privateKey = readKey(await readText(source.key), source.key);
  return checkUpstream(chain, privateKey, source.certificate, p);
}

function readChain(text: string, where: string): Certificate[] {
  try {
    const blocks = parsePem(text);
    const odd = blocks.find(({ label }) => label !== 'CERTIFICATE');
    if (odd !== undefined) throw invalid(where, `it holds a ${odd.label} beside certificates`);
    return blocks.map(({ der }) => parseCertificate(der));
  } catch (error) {
    if (error instanceof AuthorityError) throw error;
    throw invalid(where, `the chain cannot be read: ${describeError(error)}`);
  }
}

/** What is wrong is said without a part of the text, which is a key. */
function readKey(text: string, where: string): KeyObject {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type:.*ENCRYPTED/.test(text)) {
    throw invalid(
      where,
      'the key is encrypted; give it as PKCS#12, or decrypt it with `openssl pkey`',
    );
  }
  try {
    return createPrivateKey({ key: text, format: 'pem' });
  } catch {
    throw invalid(where, 'it holds no private key in PEM (PKCS#8)');
  }
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new AuthorityError('upstream_invalid', `upstream ${path}: it cannot be read`, {
      cause: error,
    });
  }
}

async function passwordOf(
  source: { readonly passwordFile: string } | { readonly passwordEnv: string },
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  if ('passwordFile' in source) {
    // A file ends with a newline that is no part of the password.
    return (await readText(source.passwordFile)).replace(/\r?\n$/, '');
  }
  const password = environment[source.passwordEnv];
  if (password !== undefined) return password;
  throw new AuthorityError(
    'upstream_invalid',
    `upstream: environment variable ${source.passwordEnv} is not set`,
    { remedy: 'set it to the password of the PKCS#12 file, or name a file in passwordFile' },
  );
}

function invalid(where: string, reason: string): AuthorityError {
  return new AuthorityError('upstream_invalid', `upstream ${where}: ${reason}`);
}
