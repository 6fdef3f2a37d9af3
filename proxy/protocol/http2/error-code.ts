/** Error codes (RFC 9113 §7) and the two sizes of an error (§5.4). */

export const errorCode = {
  noError: 0x0,
  protocolError: 0x1,
  internalError: 0x2,
  flowControlError: 0x3,
  settingsTimeout: 0x4,
  streamClosed: 0x5,
  frameSizeError: 0x6,
  refusedStream: 0x7,
  cancel: 0x8,
  compressionError: 0x9,
  connectError: 0xa,
  enhanceYourCalm: 0xb,
  inadequateSecurity: 0xc,
  http11Required: 0xd,
} as const;

export type ErrorCode = (typeof errorCode)[keyof typeof errorCode];

/** What a peer did wrong: the connection ends, or the one stream it concerns. */
export interface Http2Fault {
  readonly scope: 'connection' | 'stream';
  readonly code: ErrorCode;
  /** One line for a log. It names numbers and rules, never what the peer wrote. */
  readonly detail: string;
}

export function connectionFault(code: ErrorCode, detail: string): Http2Fault {
  return { scope: 'connection', code, detail };
}

export function streamFault(code: ErrorCode, detail: string): Http2Fault {
  return { scope: 'stream', code, detail };
}

/** A frame that comes after the peer has ended the stream (§5.1). */
export function closedStreamFault(id: number): Http2Fault {
  return streamFault(errorCode.streamClosed, `a frame on stream ${id}, which is closed`);
}

/** A code as a log line shows it; a peer may send any number. */
export function formatErrorCode(code: number): string {
  return codeNames[code] ?? `0x${code.toString(16)}`;
}

const codeNames: readonly string[] = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
];
