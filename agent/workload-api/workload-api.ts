/**
 * The SPIFFE Workload API, both profiles (SPIFFE_Workload_API.md; clauses A-n and E-n are those of the
 * Workload API and Endpoint standards, in their order).
 */

import { SpiffeWorkloadAPIService } from '../../api/index.ts';
import type { Clock, Logger } from '../../core/index.ts';
import {
  type CallContext,
  type Outgoing,
  type RpcServer,
  serverStream,
  unary,
} from '../../rpc/index.ts';
import type { JwtSvids } from '../jwt/jwt-svids.ts';
import type { CallerIdentitiesSource } from '../workload/caller-identities.ts';
import {
  checkJwtRequest,
  checkValidateRequest,
  jwtBundlesResponse,
  jwtSvidResponse,
  validateResponse,
} from './jwt-profile.ts';
import { type StateMessage, streamKnown } from './known-states.ts';
import {
  checkHeader,
  type Known,
  knownOf,
  profileOff,
  watchCaller,
  type WorkloadCalls,
} from './workload-call.ts';
import { svidResponse, x509BundlesResponse } from './x509-profile.ts';

/** Which profiles are served. */
export interface WorkloadApiConfig {
  readonly x509: boolean;
  readonly jwt: boolean;
}

export interface WorkloadApiDeps {
  readonly source: CallerIdentitiesSource;
  readonly jwtSvids: JwtSvids;
  readonly profiles: WorkloadApiConfig;
  readonly clock: Clock;
  readonly log: Logger;
}

/** E-6: the service is the standard's, with no method added to it. */
export function addWorkloadApi(server: RpcServer, deps: WorkloadApiDeps): void {
  const { lookup } = server;
  const { profiles, jwtSvids, clock } = deps;
  const calls: WorkloadCalls = deps;
  const enter = (profile: 'X.509' | 'JWT', context: CallContext): void => {
    checkHeader(context);
    if (!(profile === 'JWT' ? profiles.jwt : profiles.x509)) throw profileOff(profile);
  };
  const stream = <Message>(
    profile: 'X.509' | 'JWT',
    respond: (known: Known) => StateMessage<Message> | undefined,
  ) =>
    serverStream<unknown, Message>(lookup, async (_request, out: Outgoing<Message>, context) => {
      enter(profile, context);
      const identities = await watchCaller(calls, context);
      await streamKnown(calls, out, context, identities, respond);
    });
  server.addService(SpiffeWorkloadAPIService, {
    fetchX509Svid: stream('X.509', svidResponse),
    fetchX509Bundles: stream('X.509', x509BundlesResponse),
    fetchJwtsvid: unary(lookup, async (request, context) => {
      enter('JWT', context);
      checkJwtRequest(request);
      const identities = await watchCaller(calls, context);
      return jwtSvidResponse(request, jwtSvids, identities, (state) =>
        knownOf(state, calls, context),
      );
    }),
    fetchJwtBundles: stream('JWT', jwtBundlesResponse),
    validateJwtsvid: unary(lookup, async (request, context) => {
      enter('JWT', context);
      checkValidateRequest(request);
      const identities = await watchCaller(calls, context);
      return validateResponse(request, knownOf(identities.current(), calls, context), clock);
    }),
  });
}
