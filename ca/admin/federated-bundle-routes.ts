/** The bundles of other trust domains on the admin API. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import {
  AdminError,
  federatedBundleListSchema,
  federatedBundleSchema,
  type FederatedBundleView,
  noBody,
  noParams,
  noQuery,
  setFederatedBundleSchema,
} from '../../api/index.ts';
import { parseTrustDomain, type TrustDomain, TrustDomainError } from '../../spiffe/index.ts';
import type { StoredForeignBundle } from '../federation/foreign-bundles.ts';
import type { AdminDeps } from './admin-context.ts';
import { operationRoute } from './route.ts';

export function federatedBundleRoutes({ foreignBundles }: AdminDeps): RouteOptions[] {
  return [
    operationRoute(listOperation, async () => ({
      bundles: [...foreignBundles.state.current().bundles.values()].map(viewOf),
    })),
    operationRoute(getOperation, async ({ params }, { reply }) =>
      reply
        .type('application/json')
        .send(foreignBundles.get(trustDomainOf(params.trustDomain)).document),
    ),
    operationRoute(setOperation, async ({ params, body }, { actor }) =>
      viewOf(
        await foreignBundles.set({
          actor,
          trustDomain: trustDomainOf(params.trustDomain),
          text: body.document,
          force: body.force ?? false,
        }),
      ),
    ),
    operationRoute(deleteOperation, async ({ params }, { actor }) =>
      viewOf(await foreignBundles.delete(actor, trustDomainOf(params.trustDomain))),
    ),
  ];
}

function trustDomainOf(text: string): TrustDomain {
  try {
    return parseTrustDomain(text);
  } catch (error) {
    if (!(error instanceof TrustDomainError)) throw error;
    throw new AdminError('invalid_argument', error.code, error.message, error.remedy);
  }
}

function viewOf({ bundle, setAtMs, sha256 }: StoredForeignBundle): FederatedBundleView {
  return {
    trustDomain: bundle.trustDomain,
    sequence: String(bundle.sequence),
    x509Authorities: bundle.x509Authorities.length,
    jwtAuthorities: bundle.jwtAuthorities.length,
    sha256,
    setAt: new Date(setAtMs).toISOString(),
  };
}

// Whoever may set one decides whom workloads trust: an admin's, as rules and authorities are.
const base = {
  resource: 'federated-bundles',
  params: noParams,
  query: noQuery,
  body: noBody,
} as const;

const one = {
  ...base,
  path: '/v1/federated-bundles/:trustDomain',
  params: z.strictObject({ trustDomain: z.string().min(1).max(255) }),
} as const;

const listOperation = {
  ...base,
  id: 'listFederatedBundles',
  method: 'GET',
  path: '/v1/federated-bundles',
  summary: 'Other trust domains whose bundles this CA passes on',
  verb: 'read',
  answer: federatedBundleListSchema,
} as const;

const getOperation = {
  ...one,
  id: 'getFederatedBundle',
  method: 'GET',
  summary: 'The bundle of another trust domain, a SPIFFE JWKS document',
  verb: 'read',
  answer: z.looseObject({ keys: z.array(z.looseObject({ kty: z.string() })) }),
} as const;

const setOperation = {
  ...one,
  id: 'setFederatedBundle',
  method: 'PUT',
  summary:
    'Take in the bundle of another trust domain; entries that federate with it get it at once',
  verb: 'update',
  body: setFederatedBundleSchema,
  answer: federatedBundleSchema,
} as const;

const deleteOperation = {
  ...one,
  id: 'deleteFederatedBundle',
  method: 'DELETE',
  summary: 'Forget the bundle of another trust domain; nobody of it is trusted any more',
  verb: 'delete',
  answer: federatedBundleSchema,
} as const;
