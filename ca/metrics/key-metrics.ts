/** What is measured of the CA's keys: when each ends, who has it, and whether a rotation hangs. */

import type { Authorities } from '../authority/authorities.ts';
import type { Authority } from '../authority/authority.ts';
import { nodeShareOf, type Propagation, sidecarShareOf } from '../authority/evidence.ts';
import type { RotatingJwtKeys } from '../authority/jwt-keys.ts';
import type { Metrics, Sample } from './metrics.ts';

export interface MeasuredKeys {
  readonly authorities: Pick<Authorities, 'current' | 'overdue'>;
  readonly jwtKeys: Pick<RotatingJwtKeys, 'list' | 'overdue' | 'propagationOf'>;
  readonly connected: { propagationOf(rootId: string): Propagation };
}

export function measureKeys(
  metrics: Metrics,
  { authorities, jwtKeys, connected }: MeasuredKeys,
): void {
  const standing = (): readonly Authority[] =>
    authorities.current().authorities.filter(({ state }) => state !== 'retired');
  metrics.gaugeOf(
    {
      name: 'signet_ca_authority_expiry_timestamp_seconds',
      help: 'When the certificate of an authority that is not retired, or a JWT key, ends',
      labels: ['tier', 'state', 'authority'],
    },
    () => [
      ...standing().map(({ id, tier, state, certificate }) => ({
        value: certificate.notAfterMs / 1000,
        labels: { tier, state, authority: id },
      })),
      ...jwtKeys.list().map(({ id, state, notAfterMs }) => ({
        value: notAfterMs / 1000,
        labels: { tier: 'jwt', state, authority: id },
      })),
    ],
  );
  const roots = (share: (how: Propagation) => number) => (): Sample[] =>
    standing()
      .filter(({ tier }) => tier === 'root')
      .map(({ id }) => ({
        value: share(connected.propagationOf(id)),
        labels: { authority: id },
      }));
  metrics.gaugeOf(
    {
      name: 'signet_ca_root_nodes_ratio',
      help: 'The share of live nodes that have applied a bundle with this root; 1 if there are none',
      labels: ['authority'],
    },
    roots(nodeShareOf),
  );
  metrics.gaugeOf(
    {
      name: 'signet_ca_root_sidecars_ratio',
      help: 'The share of SDS clients that have acknowledged this root, node by node; 1 if there are none',
      labels: ['authority'],
    },
    roots(sidecarShareOf),
  );
  metrics.gaugeOf(
    {
      name: 'signet_ca_jwt_key_nodes_ratio',
      help: 'The share of live nodes that have applied a bundle with this JWT key; 1 if there are none',
      labels: ['authority'],
    },
    () =>
      jwtKeys.list().map(({ id }) => ({
        value: nodeShareOf(jwtKeys.propagationOf(id)),
        labels: { authority: id },
      })),
  );
  metrics.gaugeOf(
    {
      name: 'signet_ca_rotation_overdue',
      help: '1 while a root or a JWT key waits for the fleet past rotation.deadline',
      labels: ['tier'],
    },
    () => [
      { value: authorities.overdue() === undefined ? 0 : 1, labels: { tier: 'root' } },
      { value: jwtKeys.overdue() === undefined ? 0 : 1, labels: { tier: 'jwt' } },
    ],
  );
}
