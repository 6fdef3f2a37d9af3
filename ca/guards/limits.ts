/** How much the CA takes on: the bounds of its configuration, their defaults, and why those. */

import { z } from 'zod';

export interface Limits {
  /** Certificates for nodes and workloads, all nodes together. */
  readonly signingPerSecond: number;
  /** Certificates for one node and its workloads. */
  readonly signingPerNodePerSecond: number;
  /** Attestations: whoever reaches the port may ask for one. */
  readonly attestationsPerSecond: number;
  /** How many requests may wait, all callers together. */
  readonly queue: number;
}

export const defaultLimits: Limits = {
  // About what one core signs, verifies and records; past it, waiting in line beats thrashing.
  signingPerSecond: 2000,
  // With its burst of 512, a node of two thousand workloads comes up in under four seconds; those that ask for
  // more than their share wait in a fair line, so that some mad ones do not take the CA from the rest.
  signingPerNodePerSecond: 400,
  // A tenth of the signing: strangers get a share of the CA's time, never all of it.
  attestationsPerSecond: 200,
  // Two seconds of work: who stands further back is better told to come again.
  queue: 4096,
};

/** The `limits` of a config file; what is left out has its default. */
export const limitsField = z
  .strictObject({
    signingPerSecond: rate(defaultLimits.signingPerSecond),
    signingPerNodePerSecond: rate(defaultLimits.signingPerNodePerSecond),
    attestationsPerSecond: rate(defaultLimits.attestationsPerSecond),
    // A full call of an agent has 256 items, and must fit.
    queue: z.int().min(256).max(1_000_000).default(defaultLimits.queue),
  })
  .prefault({});

function rate(usual: number) {
  // Above a million a second the limit limits nothing.
  return z.number().min(1).max(1_000_000).default(usual);
}
