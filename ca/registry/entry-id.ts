/** Ids of registration entries: UUIDs of version 7 (RFC 9562 §5.7), which sort by time of creation. */

import { type Random, toHex } from '../../core/index.ts';

export function newEntryId(nowMs: number, random: Random): string {
  const time = Math.max(0, Math.floor(nowMs)).toString(16).padStart(12, '0').slice(-12);
  const chance = random.bytes(10);
  // Four bits of version and two of variant stand in for random ones.
  chance[0] = ((chance[0] ?? 0) & 0x0f) | 0x70;
  chance[2] = ((chance[2] ?? 0) & 0x3f) | 0x80;
  const tail = toHex(chance);
  return [time.slice(0, 8), time.slice(8), tail.slice(0, 4), tail.slice(4, 8), tail.slice(8)].join(
    '-',
  );
}

/** Whether the text can be an entry's id at all; what it names may still not exist. */
export function isEntryId(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}
