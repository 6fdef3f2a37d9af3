/** What a process that sends bytes through a relay is told, and what it says. */

import { z } from 'zod';
import { loadSettingSchema } from './load-setting.ts';

/** `up` is from the client, which the relay decrypts; `down` is to it, which the relay encrypts. */
export type RelayDirection = 'up' | 'down';

export const relaySettingSchema = loadSettingSchema.extend({ direction: z.enum(['up', 'down']) });
export type RelaySetting = z.output<typeof relaySettingSchema>;

export const relayResultSchema = z.object({
  bytes: z.number(),
  elapsedMs: z.number(),
  cpuMicros: z.number(),
});
export type RelayResult = z.output<typeof relayResultSchema>;

/** By its first byte a client says which way the bytes go. */
export const directionBytes: Readonly<Record<RelayDirection, string>> = { up: 'u', down: 'd' };

/** As much as a kernel's socket buffer takes at once: fewer calls at the ends, which share a core. */
export const relayChunk = Buffer.alloc(64 * 1024);
