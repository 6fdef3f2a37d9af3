/** Looks at the first bytes of a connection: a whole TLS ClientHello, or no TLS at all. It sees no socket. */

import { Buffer } from 'node:buffer';
import { type ClientHello, parseClientHello } from './client-hello.ts';

export type Inspection =
  | { readonly kind: 'need_more' }
  | { readonly kind: 'client_hello'; readonly hello: ClientHello }
  /** Something else than TLS, known from its first bytes. */
  | { readonly kind: 'not_tls' }
  /** It begins as TLS does and goes on as TLS may not. */
  | { readonly kind: 'bad'; readonly detail: string };

/**
 * Bytes are pushed as they come. A record may be split anywhere, and a hello may be spread over records
 * (RFC 8446 §5.1). After any answer but `need_more` nothing is to be pushed.
 */
export class TlsInspector {
  readonly #header = Buffer.alloc(recordHeaderBytes);
  #headerLength = 0;
  /** Bytes of the record under way that have not come. */
  #recordLeft = 0;
  /** The handshake message so far, of one record or several. */
  readonly #parts: Buffer[] = [];
  #length = 0;
  #records = 0;

  push(chunk: Buffer): Inspection {
    let at = 0;
    while (at < chunk.length) {
      if (this.#recordLeft > 0) {
        const part = chunk.subarray(at, at + this.#recordLeft);
        at += part.length;
        this.#recordLeft -= part.length;
        const answer = this.#take(part);
        if (answer.kind !== 'need_more') return answer;
      } else {
        this.#header[this.#headerLength] = chunk[at] ?? 0;
        this.#headerLength += 1;
        at += 1;
        const answer = this.#checkHeader();
        if (answer.kind !== 'need_more') return answer;
      }
    }
    return needMore;
  }

  /** One byte of a record's header has come. The first record decides whether this is TLS. */
  #checkHeader(): Inspection {
    const [type, major] = this.#header;
    if (type !== recordTypeHandshake) return this.#notTls('another record comes before its end');
    if (this.#headerLength >= 2 && major !== 3) {
      return this.#notTls(`a record has the version ${major}`);
    }
    if (this.#headerLength < recordHeaderBytes) return needMore;
    this.#headerLength = 0;
    this.#recordLeft = this.#header.readUInt16BE(3);
    // RFC 8446 §5.1: no record is longer, and no handshake record is empty.
    if (this.#recordLeft === 0) return bad('a record of it is empty');
    if (this.#recordLeft > recordBytesMax) return bad('a record of it is longer than TLS allows');
    this.#records += 1;
    return this.#records > recordsMax ? bad(`it takes more than ${recordsMax} records`) : needMore;
  }

  #notTls(detail: string): Inspection {
    return this.#records === 0 ? { kind: 'not_tls' } : bad(detail);
  }

  #take(part: Buffer): Inspection {
    this.#parts.push(part);
    this.#length += part.length;
    const first = this.#parts[0];
    if (first?.[0] !== handshakeTypeClientHello) return bad('it is another handshake message');
    if (this.#length < handshakeHeaderBytes) return needMore;
    // The header is read from what has come, which is joined only once.
    const bodyLength = this.#bodyLength();
    if (bodyLength > helloBytesMax) {
      return bad(`it has ${bodyLength} bytes, and ${helloBytesMax} are allowed`);
    }
    const messageLength = handshakeHeaderBytes + bodyLength;
    if (this.#length + this.#recordLeft > messageLength) {
      // RFC 8446 §4.1.2: the client waits for the server's answer.
      return bad('something follows it in the same record');
    }
    if (this.#length < messageLength) return needMore;
    const message = Buffer.concat(this.#parts, messageLength);
    return parseClientHello(message.subarray(handshakeHeaderBytes));
  }

  #bodyLength(): number {
    let value = 0;
    let seen = 0;
    for (const part of this.#parts) {
      for (const octet of part) {
        if (seen > 0) value = value * 256 + octet;
        seen += 1;
        if (seen === handshakeHeaderBytes) return value;
      }
    }
    return value;
  }
}

function bad(detail: string): Inspection {
  return { kind: 'bad', detail };
}

const needMore: Inspection = Object.freeze({ kind: 'need_more' });

const recordTypeHandshake = 22;
const handshakeTypeClientHello = 1;
const recordHeaderBytes = 5;
const handshakeHeaderBytes = 4;
// RFC 8446 §5.1: 2^14 bytes of plaintext in a record.
const recordBytesMax = 16_384;
// A hello with post-quantum key shares has about 1,800 bytes; Envoy and OpenSSL stop near this, too.
const helloBytesMax = 16_384;
// Real clients use one record, some two against middleboxes; each costs us a header, so not any number.
const recordsMax = 1024;
