/** What the machine ran out of, found among the causes of an error and named for whoever asked. */

import { CodedError, describeError, systemErrorCode } from '../../core/index.ts';

export type ResourceFaultCode = 'disk_full' | 'disk_read_only' | 'descriptors_exhausted';

/** A call that failed for want of something on the CA's machine; it will work once that is there again. */
export class ResourceFault extends CodedError<ResourceFaultCode> {
  override readonly name = 'ResourceFault';
  override readonly kind = 'unavailable';
}

/** The error as a {@link ResourceFault} if one is behind it, else the error itself. */
export function nameResourceFault(error: unknown): unknown {
  const code = resourceFaultCode(error);
  if (code === undefined) return error;
  return new ResourceFault(code, `${whatIs[code]}: ${describeError(error)}`, {
    cause: error,
    retryAfterMs,
  });
}

function resourceFaultCode(error: unknown): ResourceFaultCode | undefined {
  let current = error;
  for (let depth = 0; current instanceof Error && depth < causesMax; depth += 1) {
    const code = codeOf(current);
    if (code !== undefined) return code;
    current = current.cause;
  }
  return undefined;
}

function codeOf(error: Error): ResourceFaultCode | undefined {
  const known = bySystemCode.get(systemErrorCode(error) ?? '');
  if (known !== undefined) return known;
  // The embedded database tells the system's reason in words alone (strerror(3)).
  return byWords.find(([words]) => error.message.includes(words))?.[1];
}

const whatIs: Readonly<Record<ResourceFaultCode, string>> = {
  disk_full: "the disk of the CA's data directory is full",
  disk_read_only: "the CA's data directory is on a file system that may not be written",
  descriptors_exhausted: 'the CA has no file descriptors left',
};

const bySystemCode: ReadonlyMap<string, ResourceFaultCode> = new Map([
  ['ENOSPC', 'disk_full'],
  ['EDQUOT', 'disk_full'],
  ['EROFS', 'disk_read_only'],
  // Of a file that was made immutable; a file's owner may write it otherwise.
  ['EPERM', 'disk_read_only'],
  ['EMFILE', 'descriptors_exhausted'],
  ['ENFILE', 'descriptors_exhausted'],
]);

const byWords: readonly (readonly [string, ResourceFaultCode])[] = [
  ['No space left on device', 'disk_full'],
  ['Disk quota exceeded', 'disk_full'],
  ['Read-only file system', 'disk_read_only'],
  ['Operation not permitted', 'disk_read_only'],
  ['Too many open files', 'descriptors_exhausted'],
];

// Somebody has to make room first; a few seconds are soon enough to look again.
const retryAfterMs = 2000;
// A chain of causes is short; the bound only stops a cycle.
const causesMax = 8;
