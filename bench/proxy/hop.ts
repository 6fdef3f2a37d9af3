/** A proxy under test, whoever made it: the same two hops, measured from outside. */

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
}

/** What a proxy is started with. */
export interface HopSetting {
  readonly directory: string;
  readonly placement: Placement;
  readonly identities: MeshIdentities;
  readonly backend: BackendPorts;
}

export interface BackendPorts {
  readonly plaintextPort: number;
  readonly tlsPort: number;
}
