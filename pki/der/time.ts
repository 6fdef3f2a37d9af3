/** Validity times: UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5). */

import { Buffer } from 'node:buffer';
import { DerError } from './der-error.ts';
import { describeTag, tag } from './tag.ts';

/** Milliseconds since the epoch. Throws on the wrong type for the year and on days that do not exist. */
export function decodeTime(identifier: number, content: Uint8Array): number {
  const text = Buffer.from(content.buffer, content.byteOffset, content.length).toString('latin1');
  if (identifier === tag.utcTime && /^[0-9]{12}Z$/.test(text)) {
    const shortYear = Number(text.slice(0, 2));
    // RFC 5280 §4.1.2.5.1: 50 to 99 mean 1950 to 1999, 00 to 49 mean 2000 to 2049.
    return instantOf(shortYear < 50 ? 2000 + shortYear : 1900 + shortYear, text.slice(2));
  }
  if (identifier === tag.generalizedTime && /^[0-9]{14}Z$/.test(text)) {
    const year = Number(text.slice(0, 4));
    // One encoding per instant: before 2050 UTCTime is the only one allowed.
    if (year > lastUtcYear) return instantOf(year, text.slice(4));
  }
  if (identifier !== tag.utcTime && identifier !== tag.generalizedTime) {
    throw new DerError('der_tag', `expected a time, found ${describeTag(identifier)}`);
  }
  throw new DerError(
    'der_time',
    `${JSON.stringify(text)} is not a ${describeTag(identifier)} of RFC 5280`,
  );
}

/** The whole element for an instant; fractions of a second are cut off. */
export function encodeTime(instantMs: number): Uint8Array {
  const element = new Uint8Array(timeLength(instantMs));
  writeTime(element, 0, instantMs);
  return element;
}

/** The octets {@link writeTime} will write. */
export function timeLength(instantMs: number): number {
  return instantMs < firstGeneralizedMs ? 15 : 17;
}

/** Writes the whole element at `offset` and returns the offset after it. */
export function writeTime(target: Uint8Array, offset: number, instantMs: number): number {
  const date = new Date(instantMs);
  const year = date.getUTCFullYear();
  if (!(year >= firstUtcYear && year <= lastYear)) {
    throw new DerError('der_time', `${instantMs} ms is outside the years 1950 to 9999`);
  }
  const isUtc = year <= lastUtcYear;
  target[offset] = isUtc ? tag.utcTime : tag.generalizedTime;
  target[offset + 1] = isUtc ? 13 : 15;
  let next = offset + 2;
  if (!isUtc) next = putDigits(target, next, Math.floor(year / 100));
  next = putDigits(target, next, year % 100);
  next = putDigits(target, next, date.getUTCMonth() + 1);
  next = putDigits(target, next, date.getUTCDate());
  next = putDigits(target, next, date.getUTCHours());
  next = putDigits(target, next, date.getUTCMinutes());
  next = putDigits(target, next, date.getUTCSeconds());
  target[next] = upperZ;
  return next + 1;
}

function instantOf(year: number, monthToSecond: string): number {
  const part = (index: number): number => Number(monthToSecond.slice(2 * index, 2 * index + 2));
  const instantMs = Date.UTC(year, part(0) - 1, part(1), part(2), part(3), part(4));
  // Date.UTC carries 30 February into March, so only a date that comes back unchanged exists.
  const back = new Date(instantMs);
  const exists =
    back.getUTCMonth() === part(0) - 1 &&
    back.getUTCDate() === part(1) &&
    back.getUTCHours() === part(2) &&
    back.getUTCMinutes() === part(3) &&
    back.getUTCSeconds() === part(4);
  if (!exists) throw new DerError('der_time', `${year}${monthToSecond} does not exist`);
  return instantMs;
}

function putDigits(bytes: Uint8Array, offset: number, value: number): number {
  bytes[offset] = zero + Math.floor(value / 10);
  bytes[offset + 1] = zero + (value % 10);
  return offset + 2;
}

const firstUtcYear = 1950;
const lastUtcYear = 2049;
const lastYear = 9999;
const firstGeneralizedMs = Date.UTC(lastUtcYear + 1, 0);
const zero = 0x30;
const upperZ = 0x5a;
