/** How each hop is driven in each of its two modes, with the cheapest load that this machine has. */

import { Scope } from '../../core/index.ts';
import type { Candidate } from '../measurement.ts';
import type { Placement } from '../placement.ts';
import { startGateway } from './gateway.ts';
import type { Hop } from './hop.ts';
import { driveGenerator, driveHandshakes, driveIdle, driveWrk } from './load.ts';
import { dnsNameOf, type PemFiles } from './mesh-identities.ts';

export interface DriveSetting {
  readonly directory: string;
  readonly placement: Placement;
  readonly connections: number;
  readonly client: PemFiles;
  readonly wrk: string | undefined;
  readonly nginx: string | undefined;
  /** How many idle connections are added at a time. */
  readonly idle: number;
  /** How long nothing happens before memory is read. */
  readonly quietMs: number;
}

/** Idle connections of each hop and mode. Measured once: what a process has grown by, it mostly keeps. */
export function idleCandidates(
  scope: Scope,
  { placement, client, idle, quietMs }: DriveSetting,
  hops: readonly Hop[],
): readonly Candidate[] {
  return hops.flatMap((hop) =>
    (['plaintext', 'mTLS'] as const).map((mode): Candidate => {
      const row = `idle ${mode}: ${hop.name}`;
      const target =
        mode === 'plaintext'
          ? { port: hop.plaintextPort, connections: idle }
          : { port: hop.tlsPort, connections: idle, tls: tlsOf(client) };
      return {
        name: row,
        warmsUp: false,
        async measure() {
          hop.program.check();
          const holding = new Scope();
          scope.onClose(() => holding.close());
          try {
            const watchedPid = hop.program.pid;
            const figures = await driveIdle(holding, placement, { target, watchedPid, quietMs });
            return [{ row, figures }];
          } finally {
            await holding.close();
          }
        },
      };
    }),
  );
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
    handshakes(`mTLS handshake and request: ${hop.name}`, hop, setting),
  ]);
}

function handshakes(row: string, hop: Hop, { placement, client }: DriveSetting): Candidate {
  return {
    name: row,
    async measure(seconds) {
      hop.program.check();
      const figures = await driveHandshakes(placement, {
        port: hop.tlsPort,
        tls: tlsOf(client),
        connections: handshakesAtOnce,
        warmUpMs: Math.min(seconds, 1) * 500,
        windowMs: seconds * 1000,
        watchedPid: hop.program.pid,
      });
      return [{ row, figures }];
    },
  };
}

function tlsOf(client: PemFiles): PemFiles & { readonly serverName: string } {
  return { ...client, serverName: dnsNameOf('proxy') };
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
              ...(isTls ? { tls: tlsOf(client) } : {}),
            });
      return [{ row, figures }];
    },
  };
}

// Enough that the proxy is never without one, few enough that they do not wait for each other.
const handshakesAtOnce = 8;
