/** Which keys a config schema knows at a place, to tell who wrote another one. */

import { z } from 'zod';

/** The keys of the object that stands at `path` in values of `schema`; empty where no object stands. */
export function knownKeys(
  schema: z.core.$ZodType,
  path: readonly PropertyKey[],
): readonly string[] {
  const objects = objectsOf(schema);
  const [first, ...rest] = path;
  if (first === undefined) return [...new Set(objects.flatMap((shape) => Object.keys(shape)))];
  const inner = [...objects.flatMap((shape) => shape[String(first)] ?? []), ...elementsOf(schema)];
  return [...new Set(inner.flatMap((each) => knownKeys(each, rest)))];
}

/** The known key that was likely meant: the same but for a letter or two. */
export function nearestKey(key: string, known: readonly string[]): string | undefined {
  const near = known
    .map((candidate) => ({ candidate, distance: editDistance(key, candidate) }))
    .filter(({ distance }) => distance <= misspeltLettersMax)
    .toSorted((left, right) => left.distance - right.distance);
  return near[0]?.candidate;
}

type Shape = Readonly<Record<string, z.core.$ZodType>>;

function objectsOf(schema: z.core.$ZodType): readonly Shape[] {
  if (schema instanceof z.ZodObject) return [schema.shape];
  return wrappedBy(schema).flatMap(objectsOf);
}

function elementsOf(schema: z.core.$ZodType): readonly z.core.$ZodType[] {
  if (schema instanceof z.ZodArray) return [schema.element];
  if (schema instanceof z.ZodRecord) return [schema.valueType];
  return wrappedBy(schema).flatMap(elementsOf);
}

/** What stands behind an optional or transformed value, and each alternative of a union. */
function wrappedBy(schema: z.core.$ZodType): readonly z.core.$ZodType[] {
  if (schema instanceof z.ZodUnion) return schema.options;
  if (schema instanceof z.ZodPipe) return [schema.in];
  const isWrapper =
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodReadonly;
  return isWrapper ? [schema.unwrap()] : [];
}

/** Levenshtein's: letters to add, drop or change. Keys are short, and a long one is never near. */
function editDistance(left: string, right: string): number {
  if (Math.abs(left.length - right.length) > misspeltLettersMax) return misspeltLettersMax + 1;
  let row = Array.from({ length: right.length + 1 }, (_, at) => at);
  for (let at = 0; at < left.length; at += 1) {
    const next = [at + 1];
    for (let to = 0; to < right.length; to += 1) {
      const changed = (row[to] ?? 0) + (left[at] === right[to] ? 0 : 1);
      next.push(Math.min(changed, (row[to + 1] ?? 0) + 1, (next[to] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}

// Two letters: one more would make `listen` of `tls`.
const misspeltLettersMax = 2;
