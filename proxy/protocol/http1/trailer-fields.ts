/** Fields that have no place behind the body (RFC 9110 §6.5.1). */

import type { HeaderBlock } from './header-block.ts';

/** The name of the first field that must not be a trailer, in lower case. */
export function forbiddenTrailer(trailers: HeaderBlock): string | undefined {
  for (const [name] of trailers.entries()) {
    const lowerName = name.toLowerCase();
    if (forbidden.has(lowerName)) return lowerName;
  }
  return undefined;
}

/** Whether a field of that name, in lower case, has no place behind a body. */
export function isForbiddenTrailer(lowerName: string): boolean {
  return forbidden.has(lowerName);
}

// RFC 9110 §6.5.1: what is needed for framing, routing, modifying the request, authentication,
// controlling the response, or knowing how to read the content. Whoever merges trailers into the
// head would otherwise let them replace what the head was judged by.
const forbidden: ReadonlySet<string> = new Set([
  'authorization',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'content_length',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'keep-alive',
  'location',
  'max-forwards',
  'pragma',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'retry-after',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'transfer_encoding',
  'upgrade',
  'vary',
  'www-authenticate',
  'x-forwarded-client-cert',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
]);
