/** Attest: evidence of what a node is, traded for its first SVID. Open to callers who are nobody yet. */

import { hash } from 'node:crypto';
import type { AttestRequest, AttestResponse } from '../../api/index.ts';
import type { Clock, Logger, Watch } from '../../core/index.ts';
import { CsrError, parseCertificateRequest } from '../../pki/index.ts';
import type { Caller } from '../../rpc/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';
import { joinTokenAttestorName } from '../attestation/join-token-attestor.ts';
import type { NodeAttestor } from '../attestation/node-attestor.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Trust } from '../authority/trust.ts';
import type { IssuanceGate } from '../guards/gate.ts';
import { IssuanceRefusedError } from '../issuance/issuance-refusal.ts';
import { type IssuanceDeps, issueX509Svid } from '../issuance/issue.ts';
import type { Registry } from '../registry/registry.ts';
import { NodeApiError } from './node-api-error.ts';

export interface AttestDeps {
  readonly attestors: ReadonlyMap<string, NodeAttestor>;
  readonly issuance: IssuanceDeps;
  readonly gate: IssuanceGate;
  readonly trust: Watch<Trust>;
  readonly registry: Pick<Registry, 'putNode' | 'getNode'>;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Throws {@link NodeApiError} with the attestor's code, {@link IssuanceRefusedError}, or what the gate
 * throws.
 */
export function attestNode(
  deps: AttestDeps,
  request: AttestRequest,
  caller: Caller,
): Promise<AttestResponse> {
  const address = caller.kind === 'tls' ? caller.address : 'local';
  return deps.gate.attest(hostOf(address), () => attestNow(deps, request, address));
}

/** All ports of a host are one caller. */
function hostOf(address: string): string {
  return address.replace(/:\d+$/, '');
}

async function attestNow(
  deps: AttestDeps,
  request: AttestRequest,
  address: string,
): Promise<AttestResponse> {
  const attestor = deps.attestors.get(request.attestor);
  if (attestor === undefined) {
    throw new NodeApiError(
      'invalid_argument',
      'attestor_unknown',
      `there is no node attestor ${JSON.stringify(request.attestor.slice(0, 32))}`,
      { remedy: `use one of: ${[...deps.attestors.keys()].join(', ')}` },
    );
  }
  const csr = new Uint8Array(request.csr);
  // The key first: evidence that can be used once must not be spent on a request that then fails.
  const { spki } = readCsr(csr);
  const attestation = await attestor.attest({
    evidence: new Uint8Array(request.evidence),
    spkiSha256: hash('sha256', spki, 'hex'),
    csr,
    address,
  });
  if (attestation.kind === 'refused') {
    const { code, detail, claim, remedy } = attestation;
    deps.log.warn('attestation refused', { attestor: attestor.name, address, code });
    // Recorded only for evidence that names something of ours: a stranger's guesses must not fill the disk.
    if (claim !== undefined && code !== 'token_unknown') {
      await deps.audit.append({
        actor: { kind: 'node', id: '', address },
        type: 'node.attest_denied',
        attestor: attestor.name,
        refusal: { code, detail },
        ...(attestor.name === joinTokenAttestorName ? { tokenId: claim } : { nodeId: claim }),
        csrSha256: hash('sha256', csr, 'hex'),
      });
    }
    throw new NodeApiError('unauthenticated', code, detail, remedy === undefined ? {} : { remedy });
  }
  const { id, selectors, aliasId } = attestation;
  await refuseIfBanned(deps, id, attestor.name, address);
  const issued = await issueX509Svid(deps.issuance, {
    subject: {
      kind: 'attested_node',
      caller: { id, address },
      attestor: attestor.name,
      selectors,
    },
    csr,
  });
  if (issued.kind === 'refused') throw new IssuanceRefusedError(issued);
  // Last, so that a node that is registered has a certificate; a lost answer is asked for again.
  await deps.registry.putNode({
    id,
    attestor: attestor.name,
    selectors,
    ...(aliasId === undefined ? {} : { aliasId }),
    serial: issued.serial,
    notAfterMs: issued.notAfterMs,
    attestedAtMs: deps.clock.wallMs(),
    agentVersion: request.agentVersion.slice(0, versionLengthMax),
  });
  deps.log.info('node attested', { node: id, attestor: attestor.name, address });
  return {
    spiffeId: id,
    chain: issued.chain.map((der) => Buffer.from(der)),
    bundle: Buffer.from(deps.trust.current().bundleDocument),
  };
}

/** Looked at again when the node is put, in case the ban comes between. */
async function refuseIfBanned(
  deps: AttestDeps,
  id: SpiffeId,
  attestor: string,
  address: string,
): Promise<void> {
  const known = await deps.registry.getNode(id);
  if (known?.banned === undefined) return;
  const detail = `node ${id} is banned`;
  await deps.audit.append({
    actor: { kind: 'node', id: '', address },
    type: 'node.attest_denied',
    attestor,
    refusal: { code: 'node_banned', detail },
    nodeId: id,
  });
  throw new NodeApiError('permission_denied', 'node_banned', detail, {
    remedy: 'ask an operator of the CA',
  });
}

function readCsr(csr: Uint8Array): { readonly spki: Uint8Array } {
  try {
    return parseCertificateRequest(csr);
  } catch (error) {
    if (!(error instanceof CsrError)) throw error;
    throw new NodeApiError(
      'invalid_argument',
      error.code,
      `the certificate request: ${error.message}`,
    );
  }
}

/** What a peer calls its version is shown in lists; it is not a place to write essays. */
export const versionLengthMax = 64;
