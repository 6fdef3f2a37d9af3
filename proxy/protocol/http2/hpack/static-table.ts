/** The static table (RFC 7541 appendix A). */

import { type Field, makeField } from '../field.ts';

const rows: readonly (readonly [name: string, value?: string])[] = [
  [':authority'],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset'],
  ['accept-encoding', 'gzip, deflate'],
  ['accept-language'],
  ['accept-ranges'],
  ['accept'],
  ['access-control-allow-origin'],
  ['age'],
  ['allow'],
  ['authorization'],
  ['cache-control'],
  ['content-disposition'],
  ['content-encoding'],
  ['content-language'],
  ['content-length'],
  ['content-location'],
  ['content-range'],
  ['content-type'],
  ['cookie'],
  ['date'],
  ['etag'],
  ['expect'],
  ['expires'],
  ['from'],
  ['host'],
  ['if-match'],
  ['if-modified-since'],
  ['if-none-match'],
  ['if-range'],
  ['if-unmodified-since'],
  ['last-modified'],
  ['link'],
  ['location'],
  ['max-forwards'],
  ['proxy-authenticate'],
  ['proxy-authorization'],
  ['range'],
  ['referer'],
  ['refresh'],
  ['retry-after'],
  ['server'],
  ['set-cookie'],
  ['strict-transport-security'],
  ['transfer-encoding'],
  ['user-agent'],
  ['vary'],
  ['via'],
  ['www-authenticate'],
];

/** Index 1 stands at 0. */
export const staticTable: readonly Field[] = rows.map(([name, value = '']) =>
  Object.freeze(makeField(name, value)),
);
export const staticCount = staticTable.length;

/** Indexes by name, and by value below it. */
export const staticIndexes: ReadonlyMap<string, StaticName> = indexByName();

export interface StaticName {
  /** The first index with this name. */
  readonly index: number;
  readonly values: ReadonlyMap<string, number>;
}

function indexByName(): Map<string, StaticName> {
  const names = new Map<string, { index: number; values: Map<string, number> }>();
  rows.forEach(([name, value], at) => {
    const entry = names.get(name) ?? { index: at + 1, values: new Map<string, number>() };
    names.set(name, entry);
    if (value !== undefined) entry.values.set(value, at + 1);
  });
  return names;
}
