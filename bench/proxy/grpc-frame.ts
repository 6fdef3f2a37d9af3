/** What the benchmark's unary calls carry: one gRPC frame each way, a prefix of five bytes and a message. */

export const grpcRequest = frameOf(64);
export const grpcReply = frameOf(128);

/** A frame of `length` bytes, in text that any configuration file can hold: its length fits into one ASCII character. */
function frameOf(length: number): string {
  const message = 'x'.repeat(length - 5);
  return `\0\0\0\0${String.fromCodePoint(message.length)}${message}`;
}
