/** Chunk extensions (RFC 9112 §7.1.1): checked against their grammar, counted, and thrown away. */

import { type Http1ErrorEvent, refuse } from './http1-event.ts';
import { formatOctet, isBlank, isFieldOctet, isTokenOctet, octet } from './octets.ts';

/**
 * Steps through `*( ";" OWS name [ "=" ( token / quoted-string ) ] )`. White space in any other place
 * is refused, although RFC 9112 has a recipient skip it: no sender is known to write it, and parsers
 * that skip it differently have been played against each other.
 */
export class ChunkExtensionScanner {
  readonly #bytesMax: number;
  #bytes = 0;
  #state: number = state.done;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Forgets the count: a new body begins. */
  resetBody(): void {
    this.#bytes = 0;
    this.#state = state.done;
  }

  /** Whether the line may end here. */
  get mayEnd(): boolean {
    return this.#state === state.name || this.#state === state.value || this.#state === state.done;
  }

  step(byte: number): Http1ErrorEvent | undefined {
    this.#bytes += 1;
    if (this.#bytes > this.#bytesMax) {
      return refuse('chunk_extension_too_large', `chunk extensions exceed ${this.#bytesMax} bytes`);
    }
    const next = this.#follow(byte);
    if (next === undefined) return refuseByte(byte);
    this.#state = next;
    return undefined;
  }

  #follow(byte: number): number | undefined {
    const isToken = isTokenOctet[byte] === 1;
    switch (this.#state) {
      case state.nameStart:
        if (isToken) return state.name;
        return isBlank(byte) ? state.nameStart : undefined;
      case state.name:
        if (isToken) return state.name;
        if (byte === octet.equals) return state.valueStart;
        break;
      case state.valueStart:
        if (isToken) return state.value;
        return byte === octet.quote ? state.quoted : undefined;
      case state.value:
        if (isToken) return state.value;
        break;
      case state.quoted:
        if (byte === octet.quote) return state.done;
        if (byte === octet.backslash) return state.escaped;
        return isFieldOctet[byte] === 1 ? state.quoted : undefined;
      case state.escaped:
        return isFieldOctet[byte] === 1 ? state.quoted : undefined;
      default:
        break;
    }
    return byte === octet.semicolon ? state.nameStart : undefined;
  }
}

function refuseByte(byte: number): Http1ErrorEvent {
  return byte === octet.lf
    ? refuse('line_ending', 'LF without CR in a chunk extension')
    : refuse('chunk_extension_invalid', `byte ${formatOctet(byte)} in a chunk extension`);
}

const state = {
  nameStart: 0,
  name: 1,
  valueStart: 2,
  value: 3,
  quoted: 4,
  escaped: 5,
  done: 6,
} as const;
