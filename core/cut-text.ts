/** The beginning of a text that somebody else wrote, and nothing more of it. */

import { Buffer } from 'node:buffer';

/**
 * At most `lengthMax` UTF-16 units of `text`, in memory of their own.
 *
 * `slice` is not enough for what is kept: V8 makes a view of it that keeps the whole text alive, so that a word of
 * a megabyte costs a megabyte for as long as its first letters are shown. Half a surrogate pair at the cut becomes
 * U+FFFD.
 */
export function cutText(text: string, lengthMax: number): string {
  return Buffer.from(text.slice(0, lengthMax), 'utf8').toString('utf8');
}
