/** Content-Length in HTTP/2 (RFC 9113 §8.1.1): it frames nothing, and must not lie. */

import { errorCode, type Http2Fault, streamFault } from './error-code.ts';

/** Written as HTTP/1.1 reads it in one way only: digits, without a leading zero. */
export function readContentLength(text: string | undefined): number | undefined | Http2Fault {
  if (text === undefined) return undefined;
  if (!/^(?:0|[1-9]\d{0,15})$/.test(text) || Number(text) > Number.MAX_SAFE_INTEGER) {
    return streamFault(errorCode.protocolError, 'content-length is not one decimal number');
  }
  return Number(text);
}
