/**
 * The SPIFFE Workload API, X.509 profile (SPIFFE_Workload_API.md; clauses A-n and E-n are those of the
 * Workload API and Endpoint standards, in their order).
 */

import { Buffer } from 'node:buffer';
import {
  SpiffeWorkloadAPIService,
  type X509BundlesResponse,
  type X509SVID,
  type X509SVIDResponse,
} from '../api/index.ts';
import { concatBytes, type Logger, type Watch } from '../core/index.ts';
import { type Certificate, privateKeyToPkcs8Der } from '../pki/index.ts';
import {
  type CallContext,
  type Outgoing,
  type RpcServer,
  serverStream,
  unary,
} from '../rpc/index.ts';
import type { KeyedSvid } from '../sds-server/index.ts';
import { type Bundle, spiffeIdOf } from '../spiffe/index.ts';
import { AgentError } from './agent-error.ts';
import { streamStates } from './stream-states.ts';
import type {
  CallerIdentities,
  CallerIdentitiesSource,
  CallerIdentity,
} from './workload/caller-identities.ts';

export function addWorkloadApi(
  server: RpcServer,
  source: CallerIdentitiesSource,
  log: Logger,
): void {
  const { lookup } = server;
  const stream = <Response>(respond: (known: Known) => Response | undefined) =>
    serverStream<unknown, Response>(lookup, async (_request, out, context) => {
      checkHeader(context);
      await serve(out, await source.identitiesOf(context.caller), respond, context, log);
    });
  const unimplemented = async (_request: unknown, context: CallContext): Promise<never> => {
    checkHeader(context);
    throw notServed();
  };
  server.addService(SpiffeWorkloadAPIService, {
    fetchX509Svid: stream(svidResponse),
    fetchX509Bundles: stream(bundlesResponse),
    fetchJwtsvid: unary(lookup, unimplemented),
    fetchJwtBundles: serverStream(lookup, (request, _out, context) =>
      unimplemented(request, context),
    ),
    validateJwtsvid: unary(lookup, unimplemented),
  });
}

type Known = Extract<CallerIdentities, { kind: 'known' }>;

/** each message is the whole state, the first at once. A change of nothing the caller sees sends nothing. */
async function serve<Response>(
  out: Outgoing<Response>,
  identities: Watch<CallerIdentities>,
  respond: (known: Known) => Response | undefined,
  context: CallContext,
  log: Logger,
): Promise<void> {
  await streamStates(identities, out, context.signal, (state) => {
    if (state.kind === 'starting') {
      // E-5: starting; the client comes back.
      throw new AgentError(
        'agent_starting',
        'unavailable',
        'the agent has not heard of its CA yet',
      );
    }
    if (state.identities.length === 0) {
      log.debug('no identity for a caller', { connection: context.caller.connection });
      // E-5 and A-3: no identity, or none any more.
      throw new AgentError('no_identity', 'permission_denied', 'no identity issued');
    }
    return respond(state);
  });
}

/** Undefined while the first identity has no SVID: A-5 makes the first the default, and it must not waver. */
function svidResponse({
  identities,
  bundles,
  crls,
  trustDomain,
}: Known): X509SVIDResponse | undefined {
  if (identities[0]?.svid === undefined) return undefined;
  const own = bundles.get(trustDomain);
  if (own === undefined) return undefined;
  const bundle = concatenated(own.x509Authorities);
  const hints = new Set<string>();
  return {
    svids: identities.flatMap(({ entry, svid }) =>
      svid === undefined ? [] : [svidMessage(svid, bundle, uniqueHint(entry, hints))],
    ),
    crl: crls.map((der) => Buffer.from(der)),
    federatedBundles: bundleMap([...bundles.values()].filter((other) => other !== own)),
  };
}

function bundlesResponse({ bundles, crls }: Known): X509BundlesResponse | undefined {
  return { crl: crls.map((der) => Buffer.from(der)), bundles: bundleMap([...bundles.values()]) };
}

function svidMessage(svid: KeyedSvid, bundle: Buffer, hint: string): X509SVID {
  return {
    spiffeId: svid.id,
    x509Svid: concatenated(svid.chain),
    x509SvidKey: Buffer.from(privateKeyToPkcs8Der(svid.privateKey)),
    bundle,
    hint,
  };
}

/** a hint is unique in a response; of two the first keeps it, as a client would read it anyway. */
function uniqueHint({ hint }: CallerIdentity['entry'], taken: Set<string>): string {
  if (hint === '' || taken.has(hint)) return '';
  taken.add(hint);
  return hint;
}

function bundleMap(bundles: readonly Bundle[]): { [key: string]: Buffer } {
  return Object.fromEntries(
    bundles.map((bundle) => [
      spiffeIdOf(bundle.trustDomain, ''),
      concatenated(bundle.x509Authorities),
    ]),
  );
}

function concatenated(certificates: readonly Certificate[]): Buffer {
  return Buffer.from(concatBytes(...certificates.map((certificate) => certificate.der)));
}

/** E-2: shows that the caller meant to speak to a Workload API, and no browser or proxy was tricked into it. */
function checkHeader(context: CallContext): void {
  const values = context.metadata('workload.spiffe.io');
  if (values.length === 1 && values[0] === 'true') return;
  throw new AgentError(
    'workload_header',
    'invalid_argument',
    'metadata workload.spiffe.io: true is required',
  );
}

function notServed(): AgentError {
  return new AgentError(
    'workload_unimplemented',
    'unimplemented',
    'the JWT profile is not served by this agent',
  );
}
