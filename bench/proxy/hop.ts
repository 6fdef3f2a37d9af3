/** A proxy under test, whoever made it: the same hops, measured from outside. */

import type { ChildProgram } from '../child-program.ts';
import type { MeshIdentities } from './mesh-identities.ts';
import type { Placement } from '../placement.ts';

export interface Hop {
  readonly name: string;
  readonly program: ChildProgram;
  /** Plaintext in, plaintext out. */
  readonly plaintextPort: number;
  /** Mutual TLS in, mutual TLS out. */
  readonly tlsPort: number;
  /** HTTP/2 in plaintext, in and out. */
  readonly grpcPort: number;
  /** TCP: mutual TLS in, plaintext out. Undefined where the program has no relay. */
  readonly relayPort: number | undefined;
}

/** What a proxy is started with. */
export interface HopSetting {
  readonly directory: string;
  readonly placement: Placement;
  readonly identities: MeshIdentities;
  readonly backend: BackendPorts;
  /** The `signet` command as it is shipped. */
  readonly signet: string;
}

export interface HttpServicePorts {
  readonly plaintextPort: number;
  readonly tlsPort: number;
}

/** All services behind the hop. */
export interface BackendPorts extends HttpServicePorts {
  readonly grpcPort: number;
  readonly relayPort: number;
}

/** One of the two processes: a hop in plaintext, on the port that both have and, if it is the first, on one of its own. */
export interface SharedPort {
  readonly name: string;
  readonly sharedPort: number;
  readonly alonePort: number | undefined;
}
