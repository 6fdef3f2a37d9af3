/** Header blocks as they arrive (RFC 9113 §4.3, §6.2, §6.10): joined, decoded, and given their meaning. */

import { Buffer } from 'node:buffer';
import {
  closedStreamFault,
  connectionFault,
  errorCode,
  type Http2Fault,
  streamFault,
} from './error-code.ts';
import type { Field } from './field.ts';
import { frameFlag, frameType } from './frame.ts';
import type { FrameDecoder } from './frame-decoder.ts';
import { HpackDecoder, type HpackOutcome } from './hpack/hpack-decoder.ts';
import type { Http2Stream } from './http2-stream.ts';
import { readRequestHead } from './request-head.ts';
import { readResponseHead, readTrailers } from './response-head.ts';
import type { Http2Session } from './session.ts';

export class HeaderReceiver {
  readonly #session: Http2Session;
  readonly #decoder: HpackDecoder;
  #fragments: Buffer[] = [];
  #bytes = 0;
  #streamId = 0;
  #isEnd = false;
  isOpen = false;

  constructor(session: Http2Session) {
    this.#session = session;
    const { listSizeMax } = session.limits;
    this.#decoder = new HpackDecoder({ tableSizeMax, listSizeMax });
  }

  /** HEADERS, or the CONTINUATION of those that came before. */
  onFrame(frame: FrameDecoder): Http2Fault | undefined {
    const isContinuation = frame.type === frameType.continuation;
    if (isContinuation && frame.streamId !== this.#streamId) {
      return connectionFault(errorCode.protocolError, 'CONTINUATION on another stream');
    }
    if (!isContinuation) {
      this.#streamId = frame.streamId;
      this.#isEnd = (frame.flags & frameFlag.endStream) !== 0;
    }
    const isWhole = (frame.flags & frameFlag.endHeaders) !== 0;
    // Nearly every block is one frame, and is decoded where it lies.
    if (isWhole && !isContinuation) return this.#onBlock(frame.payload);
    const { blockBytesMax, continuationsMax } = this.#session.limits;
    this.#bytes += frame.payload.length;
    this.#fragments.push(frame.payload);
    if (this.#bytes > blockBytesMax || this.#fragments.length > continuationsMax) {
      return connectionFault(errorCode.enhanceYourCalm, 'a header block without end');
    }
    this.isOpen = !isWhole;
    if (!isWhole) return undefined;
    const block = Buffer.concat(this.#fragments, this.#bytes);
    this.#fragments = [];
    this.#bytes = 0;
    return this.#onBlock(block);
  }

  #onBlock(block: Buffer): Http2Fault | undefined {
    const fields: Field[] = [];
    const outcome: HpackOutcome = this.#decoder.decode(block, fields);
    const isTooLarge = outcome === 'list_too_large';
    if (outcome !== 'decoded' && !isTooLarge) {
      return connectionFault(errorCode.compressionError, outcome.replaceAll('_', ' '));
    }
    const stream = this.#session.streams.get(this.#streamId);
    if (stream !== undefined) return this.#onMoreHeaders(stream, fields, isTooLarge);
    const fault = this.#checkNew();
    if (fault !== undefined) return fault;
    return this.#session.isIdle(this.#streamId) ? this.#begin(fields, isTooLarge) : undefined;
  }

  /** Whether HEADERS may come on a stream that is not there. */
  #checkNew(): Http2Fault | undefined {
    const session = this.#session;
    const id = this.#streamId;
    if (session.isOwn(id)) {
      if (session.isIdle(id)) return numberInvalid;
    } else if (!session.isServer) {
      return numberInvalid;
    } else if (session.isIdle(id)) {
      return undefined;
    }
    const by = session.closed.get(id);
    if (by === 'reset_by_us') return session.guard.onIdleFrame('HEADERS on a closed stream');
    // §5.1: after both sides have ended, the peer knew of it.
    if (by === 'ended') return { ...closedStreamFault(id), scope: 'connection' };
    // §5.1.1: the number is below another that was used.
    return numberInvalid;
  }

  /** A request of a client. */
  #begin(fields: readonly Field[], isTooLarge: boolean): Http2Fault | undefined {
    const session = this.#session;
    if (session.isShut) return undefined;
    if (!session.hasRoom) return this.#refuse();
    const stream = session.accept(this.#streamId);
    stream.hasHead = true;
    if (isTooLarge) {
      if (this.#isEnd) stream.advance('receive_end');
      session.events.onOversizedRequest(stream);
      return session.guard.onOversizedHead();
    }
    const head = readRequestHead(fields, this.#isEnd, session.allowsExtendedConnect);
    if ('scope' in head) return session.failStream(stream, head);
    session.guard.onWork();
    stream.expectedBytes = head.contentLength;
    // The state first: whoever answers inside the event then ends a stream that the client has ended.
    if (this.#isEnd) stream.advance('receive_end');
    session.events.onRequest(stream, head);
    if (!this.#isEnd) return undefined;
    return this.#endOf(stream, stream.receiveEnd(undefined));
  }

  /** §5.1.2: over the number of streams that we allow. The client may send the request again. */
  #refuse(): Http2Fault | undefined {
    const session = this.#session;
    session.lastPeerId = this.#streamId;
    session.closed.add(this.#streamId, 'reset_by_us');
    session.outgoing.frames.resetStream(this.#streamId, errorCode.refusedStream);
    session.tellOutput();
    return session.guard.onReset();
  }

  /** A response's head, or the trailers of either. */
  #onMoreHeaders(
    stream: Http2Stream,
    fields: readonly Field[],
    isTooLarge: boolean,
  ): Http2Fault | undefined {
    const session = this.#session;
    if (!stream.mayReceive) return session.failStream(stream, closedStreamFault(stream.id));
    if (isTooLarge) {
      return session.failStream(
        stream,
        streamFault(errorCode.enhanceYourCalm, 'fields larger than we take'),
      );
    }
    return this.#endOf(
      stream,
      stream.hasHead ? this.#onTrailers(stream, fields) : this.#onResponse(stream, fields),
    );
  }

  #onResponse(stream: Http2Stream, fields: readonly Field[]): Http2Fault | undefined {
    const head = readResponseHead(fields, this.#isEnd);
    if ('scope' in head) return head;
    if (head.interim) {
      stream.interims += 1;
      if (stream.interims > this.#session.limits.interimResponsesMax) {
        return streamFault(errorCode.enhanceYourCalm, 'interim responses without end');
      }
      stream.consumer?.onHead(head);
      return undefined;
    }
    stream.hasHead = true;
    this.#session.guard.onWork();
    // RFC 9110 §6.4.1: no content, whatever the length says.
    if (head.status === 204 || head.status === 304) stream.isBodiless = true;
    stream.expectedBytes = head.contentLength;
    if (this.#isEnd && !stream.isBodiless && (head.contentLength ?? 0) > 0) {
      return streamFault(errorCode.protocolError, 'a body is announced and the stream has ended');
    }
    if (this.#isEnd) stream.advance('receive_end');
    stream.consumer?.onHead(head);
    return this.#isEnd ? stream.receiveEnd(undefined) : undefined;
  }

  #onTrailers(stream: Http2Stream, fields: readonly Field[]): Http2Fault | undefined {
    // §8.1: a second head ends its message.
    if (!this.#isEnd) return streamFault(errorCode.protocolError, 'trailers that do not end');
    const trailers = readTrailers(fields);
    if ('scope' in trailers) return trailers;
    stream.advance('receive_end');
    return stream.receiveEnd(trailers);
  }

  #endOf(stream: Http2Stream, fault: Http2Fault | undefined): Http2Fault | undefined {
    return fault === undefined ? undefined : this.#session.failStream(stream, fault);
  }
}

// What SETTINGS_HEADER_TABLE_SIZE is if nobody says otherwise (§6.5.2): enough for the fields that repeat.
const tableSizeMax = 4096;

const numberInvalid = connectionFault(
  errorCode.protocolError,
  'HEADERS on a stream whose number was passed over or is not the peer’s to use',
);
