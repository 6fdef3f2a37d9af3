/** The numbers of a frame (RFC 9113 §4.1, §6). */

export const frameType = {
  data: 0x0,
  headers: 0x1,
  priority: 0x2,
  rstStream: 0x3,
  settings: 0x4,
  pushPromise: 0x5,
  ping: 0x6,
  goaway: 0x7,
  windowUpdate: 0x8,
  continuation: 0x9,
} as const;

/** END_STREAM and ACK are one bit, on different frames. */
export const frameFlag = {
  endStream: 0x1,
  ack: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const;

/** Length (3), type (1), flags (1), a reserved bit and the stream (4). */
export const frameHeadBytes = 9;
/** §6.5.2: what everybody may send, and the most that a setting can allow. */
export const frameBytesDefault = 16_384;
export const frameBytesMax = 16_777_215;
/** §6.9.1: a window never exceeds this, and neither does the number of a stream. */
export const windowMax = 2_147_483_647;
export const streamIdMax = 2_147_483_647;
/** §6.9.2: the windows of a new connection. */
export const windowDefault = 65_535;

/** §3.4: what a client sends first. */
export const clientPreface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
