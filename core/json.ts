/** One byte sequence per JSON value, so that it can be hashed and compared. */

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** JSON with sorted keys and no white space. Throws TypeError on a number that JSON cannot hold. */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') {
    return JSON.stringify(value);
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`${value} has no JSON form`);
    return JSON.stringify(value);
  }
  return isList(value) ? `[${value.map(canonicalJson).join(',')}]` : canonicalObject(value);
}

// One string grown in a loop: audit records pass here, and lists of members cost thrice as much.
function canonicalObject(value: { readonly [key: string]: Json }): string {
  let members = '';
  for (const key of Object.keys(value).toSorted()) {
    const member = value[key];
    // As JSON.stringify does: a member that is there and undefined is left out.
    if (member === undefined) continue;
    members += `${members === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(member)}`;
  }
  return `{${members}}`;
}

// Array.isArray does not narrow a union with a readonly array.
function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
