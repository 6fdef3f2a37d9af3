/** Method names (RFC 9110 §9): the registered ones are constants, so that a head makes no string for them. */

import type { Buffer } from 'node:buffer';

/** The method in `[start, end)`, which is a token. Methods are compared with case. */
export function methodAt(bytes: Buffer, start: number, end: number): string {
  const common = commonByLength[end - start];
  if (common !== undefined) {
    for (const method of common) {
      if (spells(bytes, start, method)) return method;
    }
  }
  return bytes.toString('latin1', start, end);
}

function spells(bytes: Buffer, start: number, method: string): boolean {
  for (let at = 0; at < method.length; at += 1) {
    if (bytes[start + at] !== method.charCodeAt(at)) return false;
  }
  return true;
}

const commonByLength: readonly (readonly string[] | undefined)[] = [
  undefined,
  undefined,
  undefined,
  ['GET', 'PUT'],
  ['POST', 'HEAD'],
  ['PATCH', 'TRACE'],
  ['DELETE'],
  ['OPTIONS', 'CONNECT'],
];
