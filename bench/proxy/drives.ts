/** How each hop is driven in each of its two modes, with the cheapest load that this machine has. */

import type { Scope } from '../../core/index.ts';
import type { Candidate } from '../measurement.ts';
import type { Placement } from '../placement.ts';
import { startGateway } from './gateway.ts';
import type { Hop } from './hop.ts';
import { driveGenerator, driveWrk } from './load.ts';
import { dnsNameOf, type PemFiles } from './mesh-identities.ts';

export interface DriveSetting {
  readonly directory: string;
  readonly placement: Placement;
  readonly connections: number;
  readonly client: PemFiles;
  readonly wrk: string | undefined;
  readonly nginx: string | undefined;
}

/** A candidate for each hop and mode, such as `mTLS: nginx`. */
export async function hopCandidates(
  scope: Scope,
  setting: DriveSetting,
  hops: readonly Hop[],
): Promise<readonly Candidate[]> {
  const { wrk, nginx } = setting;
  const gateway =
    wrk === undefined || nginx === undefined
      ? undefined
      : await startGateway(scope, { ...setting, nginx }, hops);
  return hops.flatMap((hop) => [
    candidate(`plaintext: ${hop.name}`, hop, setting, hop.plaintextPort, undefined),
    candidate(`mTLS: ${hop.name}`, hop, setting, hop.tlsPort, gateway?.get(hop.name)),
  ]);
}

function candidate(
  row: string,
  hop: Hop,
  { placement, connections, client, wrk }: DriveSetting,
  port: number,
  gatewayPort: number | undefined,
): Candidate {
  const isTls = port === hop.tlsPort;
  // wrk goes to the hop itself in plaintext, and by the gateway in mutual TLS.
  const wrkPort = isTls ? gatewayPort : port;
  return {
    name: row,
    async measure(seconds) {
      hop.program.check();
      const setting = {
        connections,
        // Long enough for all connections to be open and the machine code of both ends to be there.
        warmUpMs: Math.min(seconds, 1) * 500,
        windowMs: seconds * 1000,
        watchedPid: hop.program.pid,
      };
      const figures =
        wrk !== undefined && wrkPort !== undefined
          ? await driveWrk(wrk, placement, { ...setting, port: wrkPort })
          : await driveGenerator(placement, {
              ...setting,
              port,
              ...(isTls ? { tls: { ...client, serverName: dnsNameOf('proxy') } } : {}),
            });
      return [{ row, figures }];
    },
  };
}
