/** The JWT profile of the Workload API (SPIFFE_Workload_API.md §6; rules ). */

import { Buffer } from 'node:buffer';
import type {
  JWTBundlesResponse,
  JWTSVIDRequest,
  JWTSVIDResponse,
  ValidateJWTSVIDRequest,
  ValidateJWTSVIDResponse,
} from '../../api/index.ts';
import type { Clock, Watch } from '../../core/index.ts';
import {
  audienceFault,
  formatJwtBundle,
  isSpiffeId,
  spiffeIdOf,
  verifyJwtSvid,
} from '../../spiffe/index.ts';
import { AgentError } from '../agent-error.ts';
import type { AgentEntry } from '../ca-state.ts';
import type { JwtSvids } from '../jwt/jwt-svids.ts';
import type { CallerIdentities } from '../workload/caller-identities.ts';
import { visibleClaims } from './jwt-claims.ts';
import type { StateMessage } from './known-states.ts';
import { type Known, uniqueHint } from './workload-call.ts';

/** what can be said of a request before it is known who asks. Throws {@link AgentError}. */
export function checkJwtRequest({ audience, spiffeId }: JWTSVIDRequest): void {
  const fault = audienceFault([...new Set(audience)]);
  if (fault !== undefined) throw new AgentError('jwt_audience', 'invalid_argument', fault);
  if (spiffeId !== '' && !isSpiffeId(spiffeId)) {
    throw new AgentError('jwt_spiffe_id', 'invalid_argument', 'spiffe_id is not a SPIFFE ID');
  }
}

/** tokens for the identity that is named, or for all that the caller may have, the default first. */
export async function jwtSvidResponse(
  { audience, spiffeId }: JWTSVIDRequest,
  jwtSvids: JwtSvids,
  identities: Watch<CallerIdentities>,
  knownNow: (state: CallerIdentities) => Known,
): Promise<JWTSVIDResponse> {
  const entries = entriesFor(knownNow(identities.current()), spiffeId);
  const outcomes = await jwtSvids.fetch(entries, audience);
  // The CA may have taken its time: what was withdrawn meanwhile is not handed out.
  const still = new Set(entriesFor(knownNow(identities.current()), spiffeId).map(grantOf));
  const [first] = outcomes;
  // the first is the default, so another may not stand in its place.
  if (first?.kind === 'refused') throw first.error;
  const hints = new Set<string>();
  const svids = outcomes.flatMap((outcome) =>
    outcome.kind === 'refused' || !still.has(grantOf(outcome.entry))
      ? []
      : [
          {
            spiffeId: outcome.entry.spiffeId,
            svid: outcome.token,
            hint: uniqueHint(outcome.entry, hints),
          },
        ],
  );
  if (svids.length === 0) throw notEntitled();
  return { svids };
}

/** Own keys, and those of the domains that the caller's entries federate with; X.509 authorities are not for here. */
export function jwtBundlesResponse(known: Known): StateMessage<JWTBundlesResponse> {
  const { bundles, trustDomain } = known;
  // A domain without such a key is left out: there is nothing to trust, and some clients refuse an empty set
  // together with all the others of the message.
  const documents = [...bundles.values()]
    .filter((each) => each.trustDomain === trustDomain || each.jwtAuthorities.length > 0)
    .map((bundle) => [spiffeIdOf(bundle.trustDomain, ''), formatJwtBundle(bundle)] as const);
  return {
    parts: documents.flat(),
    message: () => ({
      bundles: Object.fromEntries(documents.map(([id, text]) => [id, Buffer.from(text)])),
    }),
  };
}

/** both are mandatory. Throws {@link AgentError}. */
export function checkValidateRequest({ audience, svid }: ValidateJWTSVIDRequest): void {
  if (audience === '') {
    throw new AgentError('jwt_audience', 'invalid_argument', 'audience must be given');
  }
  if (svid === '') throw new AgentError('jwt_svid', 'invalid_argument', 'svid must be given');
}

/** every rule of the JWT-SVID standard, against the bundles that this caller may see. */
export function validateResponse(
  { audience, svid: token }: ValidateJWTSVIDRequest,
  { bundles, trustDomain }: Known,
  clock: Clock,
): ValidateJWTSVIDResponse {
  const verdict = verifyJwtSvid({ token, audience, bundles, atMs: clock.wallMs() });
  if (verdict.kind === 'refused') {
    const { code, detail } = verdict;
    throw new AgentError('jwt_svid', 'invalid_argument', `${code}: ${detail}`);
  }
  return { spiffeId: verdict.id, claims: visibleClaims(verdict, trustDomain) };
}

function entriesFor({ identities }: Known, spiffeId: string): readonly AgentEntry[] {
  const entries = identities.map(({ entry }) => entry);
  if (spiffeId === '') return entries;
  const named = entries.find((entry) => entry.spiffeId === spiffeId);
  if (named === undefined) throw notEntitled();
  return [named];
}

/** An entry of the same id may have been given another SPIFFE ID. */
function grantOf({ id, revision, spiffeId }: AgentEntry): string {
  return JSON.stringify([id, String(revision), spiffeId]);
}

function notEntitled(): AgentError {
  return new AgentError(
    'no_identity',
    'permission_denied',
    'no identity issued for that SPIFFE ID',
  );
}
