/** Reads an upstream from the operator's own files: a PEM chain with its key, or a PKCS#12 file. */

import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type CodedErrorOptions, describeError, readText } from '../../core/index.ts';
import { type Certificate, parseCertificate, parsePem } from '../../pki/index.ts';
import { AuthorityError } from './authority-error.ts';
import { checkUpstream, type UpstreamRules } from './check-upstream.ts';
import { readPkcs12 } from './pkcs12.ts';
import type { Upstream } from './upstream.ts';

export type UpstreamSource =
  /** PEM: the chain with what the key belongs to first, and its key, encrypted if there is a password. */
  | ({ readonly certificate: string; readonly key: string } & Password)
  | ({ readonly pkcs12: string } & Password);

/** Where the password is, if there is one; never both. */
interface Password {
  readonly passwordFile?: string | undefined;
  readonly passwordEnv?: string | undefined;
}

/** Throws {@link AuthorityError} `upstream_invalid`, or FileError. */
export async function loadUpstream(
  source: UpstreamSource,
  p: UpstreamRules & { readonly environment: Readonly<Record<string, string | undefined>> },
): Promise<Upstream> {
  if ('pkcs12' in source) {
    const file = await readBytes(source.pkcs12);
    // A file without a password is one with an empty one (RFC 7292 §5.1).
    const password = (await passwordOf(source, p.environment)) ?? '';
    const { chain, privateKey } = await readPkcs12(file, password, source.pkcs12);
    return checkUpstream(chain, privateKey, source.pkcs12, p);
  }
  const chain = readChain(await readText(source.certificate), source.certificate);
  const password = await passwordOf(source, p.environment);
  const privateKey = readKey(await readText(source.key), source.key, password);
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
function readKey(text: string, where: string, password: string | undefined): KeyObject {
  const isEncrypted = /-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type:.*ENCRYPTED/.test(text);
  if (isEncrypted && password === undefined) {
    throw invalid(where, 'the key is encrypted; say where its password is', {
      remedy: 'name it in passwordFile or passwordEnv',
    });
  }
  try {
    const passphrase = isEncrypted && password !== undefined ? { passphrase: password } : {};
    return createPrivateKey({ key: text, format: 'pem', ...passphrase });
  } catch {
    if (isEncrypted) {
      throw invalid(where, 'the password is wrong, or the encryption is not understood', {
        remedy: 'try `openssl pkey -noout -in` with it; PBES2 with AES is understood',
      });
    }
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
  { passwordFile, passwordEnv }: Password,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  // A file ends with a newline that is no part of the password.
  if (passwordFile !== undefined) return (await readText(passwordFile)).replace(/\r?\n$/, '');
  if (passwordEnv === undefined) return undefined;
  const password = environment[passwordEnv];
  if (password !== undefined) return password;
  throw new AuthorityError(
    'upstream_invalid',
    `upstream: environment variable ${passwordEnv} is not set`,
    { remedy: 'set it to the password, or name a file in passwordFile' },
  );
}

function invalid(where: string, reason: string, options: CodedErrorOptions = {}): AuthorityError {
  return new AuthorityError('upstream_invalid', `upstream ${where}: ${reason}`, options);
}
