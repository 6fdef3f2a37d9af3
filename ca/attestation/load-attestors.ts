/** The node attestors that the configuration asks for: join tokens always, others when they are set up. */

import { type Clock, CodedError, type Logger, type Random, readText } from '../../core/index.ts';
import { type Certificate, parsePemCertificates } from '../../pki/index.ts';
import type { TrustDomain } from '../../spiffe/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Registry } from '../registry/registry.ts';
import { joinTokenAttestor } from './join-token-attestor.ts';
import type { NodeAttestor } from './node-attestor.ts';
import { x509popAttestor } from './x509pop-attestor.ts';

export interface AttestorsConfig {
  /** A PEM file with the authorities that issue certificates to machines. */
  readonly x509pop?: { readonly caBundle: string } | undefined;
}

export class AttestorsError extends CodedError<'attestor_ca_bundle'> {
  override readonly name = 'AttestorsError';
  override readonly kind = 'failed_precondition';
}

/** By the name that an agent asks for. Throws {@link AttestorsError} or FileError that names the file. */
export async function loadAttestors(
  config: AttestorsConfig,
  deps: {
    readonly trustDomain: TrustDomain;
    readonly registry: Pick<Registry, 'useToken'>;
    readonly audit: Pick<AuditLog, 'append'>;
    readonly clock: Clock;
    readonly random: Random;
    readonly log: Logger;
  },
): Promise<ReadonlyMap<string, NodeAttestor>> {
  const attestors = [joinTokenAttestor(deps)];
  if (config.x509pop !== undefined) {
    const anchors = await readAnchors(config.x509pop.caBundle);
    if (anchors.every(({ notAfterMs }) => notAfterMs < deps.clock.wallMs())) {
      deps.log.warn('every authority for x509pop has expired', { file: config.x509pop.caBundle });
    }
    attestors.push(x509popAttestor({ ...deps, anchors }));
  }
  return new Map(attestors.map((attestor) => [attestor.name, attestor]));
}

async function readAnchors(path: string): Promise<readonly Certificate[]> {
  const anchors = parseAnchors(path, await readText(path));
  if (anchors.length === 0) throw bundleError(path, 'holds no certificate');
  const other = anchors.findIndex(({ extensions }) => extensions.basicConstraints?.ca !== true);
  if (other === -1) return anchors;
  throw bundleError(path, `certificate ${other + 1} is not that of an authority`);
}

function parseAnchors(path: string, text: string): readonly Certificate[] {
  try {
    return parsePemCertificates(text);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    throw bundleError(path, error.message, error);
  }
}

function bundleError(path: string, reason: string, cause?: unknown): AttestorsError {
  return new AttestorsError('attestor_ca_bundle', `attestors.x509pop.caBundle ${path}: ${reason}`, {
    cause,
    remedy: 'give a PEM file with the certificates of the authorities that issue to machines',
  });
}
