/** Validity times: UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5). */

import { Buffer } from 'node:buffer';
import { DerError } from './der-error.ts';
import { describeTag, tag } from './tag.ts';

/** Milliseconds since the epoch. Throws on the wrong type for the year and on days that do not exist. */
export function decodeTime(identifier: number, content: Uint8Array): number {
  if (identifier === tag.utcTime && isDigitsAndZ(content, 12)) {
    const shortYear = pairAt(content, 0);
    // RFC 5280 §4.1.2.5.1: 50 to 99 mean 1950 to 1999, 00 to 49 mean 2000 to 2049.
    return instantOf(shortYear < 50 ? 2000 + shortYear : 1900 + shortYear, content, 2);
  }
  if (identifier === tag.generalizedTime && isDigitsAndZ(content, 14)) {
    const year = 100 * pairAt(content, 0) + pairAt(content, 2);
    // One encoding per instant: before 2050 UTCTime is the only one allowed.
    if (year > lastUtcYear) return instantOf(year, content, 4);
  }
  if (identifier !== tag.utcTime && identifier !== tag.generalizedTime) {
    throw new DerError('der_tag', `expected a time, found ${describeTag(identifier)}`);
  }
  throw new DerError(
    'der_time',
    `${JSON.stringify(textOf(content))} is not a ${describeTag(identifier)} of RFC 5280`,
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

/** By bytes, not by text: two times stand in every certificate. */
function instantOf(year: number, content: Uint8Array, monthAt: number): number {
  const month = pairAt(content, monthAt) - 1;
  const day = pairAt(content, monthAt + 2);
  const hour = pairAt(content, monthAt + 4);
  const minute = pairAt(content, monthAt + 6);
  const second = pairAt(content, monthAt + 8);
  // Date.UTC carries 30 February into March, so what it would carry is refused before.
  const exists =
    month >= 0 &&
    month < 12 &&
    day >= 1 &&
    day <= daysOf(year, month) &&
    hour < 24 &&
    minute < 60 &&
    second < 60;
  if (!exists) throw new DerError('der_time', `${textOf(content)} does not exist`);
  return Date.UTC(year, month, day, hour, minute, second);
}

function daysOf(year: number, month: number): number {
  if (month === february && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)) return 29;
  return daysOfMonths[month] ?? 0;
}

function isDigitsAndZ(content: Uint8Array, digits: number): boolean {
  if (content.length !== digits + 1 || content[digits] !== upperZ) return false;
  for (let index = 0; index < digits; index += 1) {
    const octet = content[index] ?? 0;
    if (octet < zero || octet > zero + 9) return false;
  }
  return true;
}

function pairAt(content: Uint8Array, offset: number): number {
  return 10 * ((content[offset] ?? 0) - zero) + ((content[offset + 1] ?? 0) - zero);
}

function textOf(content: Uint8Array): string {
  return Buffer.from(content.buffer, content.byteOffset, content.length).toString('latin1');
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
const february = 1;
const daysOfMonths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const zero = 0x30;
const upperZ = 0x5a;
