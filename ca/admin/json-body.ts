/**
 * The body of a call, read more strictly than JavaScript reads JSON: two readers of one text must not see
 * two different requests, and nothing below may meet a value too deep for it.
 */

import { isUtf8 } from 'node:buffer';
import { AdminError } from '../../api/index.ts';

/** Throws {@link AdminError} `request_invalid`. */
export function parseJsonBody(bytes: Buffer): unknown {
  // RFC 8259 §8.1: JSON between systems is UTF-8.
  if (!isUtf8(bytes)) throw refused('is not UTF-8');
  const text = bytes.toString('utf8');
  checkStructure(text);
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    // The message of the engine quotes the text, which may be long or secret.
    const place = /at position \d+|Unexpected end/.exec(error.message)?.[0] ?? '';
    throw refused(`is not JSON${place === '' ? '' : `: a fault ${placeOf(place)}`}`);
  }
}

/** Depth and keys alone: what is no JSON otherwise is for the parser to say. */
function checkStructure(text: string): void {
  /** The keys of each object that is open; undefined for an array. */
  const open: (Set<string> | undefined)[] = [];
  let isKeyNext = false;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charAt(at)) {
      case '"': {
        const end = endOfString(text, at);
        const keys = open.at(-1);
        if (isKeyNext && keys !== undefined) takeKey(keys, text.slice(at, end + 1), at);
        isKeyNext = false;
        at = end;
        break;
      }
      case '{':
        open.push(new Set());
        isKeyNext = true;
        break;
      case '[':
        open.push(undefined);
        isKeyNext = false;
        break;
      case ',':
        isKeyNext = open.at(-1) !== undefined;
        break;
      case '}':
      case ']':
        open.pop();
        break;
      default:
    }
    if (open.length > depthMax) throw refused(`has more than ${depthMax} levels`);
  }
}

/** RFC 8259 §4: names within an object should be unique, and what readers make of others is not foreseeable. */
function takeKey(keys: Set<string>, quoted: string, at: number): void {
  const key = unquoted(quoted);
  if (key === undefined) return;
  // Some readers make an object's prototype of it.
  if (key === '__proto__') throw refused(`has the key __proto__ at position ${at}`);
  if (keys.has(key)) {
    throw refused(`has the key ${JSON.stringify(key.slice(0, 64))} twice in one object`);
  }
  keys.add(key);
}

function unquoted(quoted: string): string | undefined {
  if (!quoted.includes('\\')) return quoted.slice(1, -1);
  try {
    const value: unknown = JSON.parse(quoted);
    return typeof value === 'string' ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Where its closing quote is, or the end of the text. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at;
  }
  return text.length;
}

function placeOf(place: string): string {
  return place.startsWith('at') ? place : 'at its end';
}

function refused(reason: string): AdminError {
  return new AdminError('invalid_argument', 'request_invalid', `the body ${reason}`);
}

// The deepest body that the document describes has four.
const depthMax = 32;
