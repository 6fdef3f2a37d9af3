/**
 * One key in the kernel's keyring of this user (keyrings(7)): it outlives the process that made it, is never
 * swapped to a disk, and is gone after a reboot.
 */

import { Buffer } from 'node:buffer';
import { randomFillSync } from 'node:crypto';
import koffi from 'koffi';

export type KeyringKey =
  | { readonly kind: 'key'; readonly bytes: Buffer; readonly isNew: boolean }
  /** Containers often forbid the calls, and not every kernel has them. */
  | { readonly kind: 'unavailable'; readonly reason: string };

/** The key of that name, made if there is none. Whoever calls overwrites the bytes after use. */
export function keyFromKeyring(name: string, length: number): KeyringKey {
  const numbers = callNumbers.get(process.arch);
  if (process.platform !== 'linux' || numbers === undefined) {
    return { kind: 'unavailable', reason: `no kernel keyring on ${process.platform}` };
  }
  const call = (number: number, ...values: readonly CallValue[]): number =>
    Number(native()(number, ...values.flatMap(typed)));
  const keyctl = (...values: readonly CallValue[]): number => call(numbers.keyctl, ...values);
  const failed = (what: string): KeyringKey => ({
    kind: 'unavailable',
    reason: `${what}: errno ${koffi.errno()}`,
  });

  // A service of systemd has a session keyring of its own that does not lead to the user's; without a link
  // from here the key would be found and could not be read (keyrings(7), "possession").
  if (keyctl(linkKey, userKeyring, processKeyring) !== 0) {
    return failed('the user keyring cannot be used');
  }
  const find = (): number => keyctl(searchKeyring, userKeyring, 'user', name, 0);
  const isNew = find() < 0;
  if (isNew) {
    const made = randomFillSync(Buffer.alloc(length));
    const added = call(numbers.addKey, 'user', name, made, made.length, userKeyring);
    made.fill(0);
    if (added < 0) return failed('the kernel keyring takes no key');
    // Its owner's possessors only: not even another process of this user without the keyring.
    if (keyctl(setPermissions, added, possessorOnly) !== 0) return failed('the key is not private');
  }
  const key = find();
  if (key < 0) return failed('the key was not found again');
  const bytes = Buffer.alloc(length);
  const size = keyctl(readKey, key, bytes, length);
  return size === length ? { kind: 'key', bytes, isNew } : failed(`the key has ${size} bytes`);
}

/** Takes the key away: what it sealed cannot be opened any more. */
export function dropKeyringKey(name: string): void {
  const numbers = callNumbers.get(process.arch);
  if (process.platform !== 'linux' || numbers === undefined) return;
  const keyctl = (...values: readonly CallValue[]): number =>
    Number(native()(numbers.keyctl, ...values.flatMap(typed)));
  const key = keyctl(searchKeyring, userKeyring, 'user', name, 0);
  if (key >= 0) keyctl(unlinkKey, key, userKeyring);
}

type CallValue = number | string | Buffer;

/** syscall(2) takes any arguments: each goes with the type by which it is passed. */
function typed(value: CallValue): readonly [type: string, value: CallValue] {
  if (typeof value === 'number') return ['long', value];
  return typeof value === 'string' ? ['str', value] : ['void*', value];
}

type Syscall = (number: number, ...values: readonly CallValue[]) => number | bigint;
let loaded: Syscall | undefined;

// The C library has no name for these calls.
function native(): Syscall {
  loaded ??= koffi.load(null).func('long syscall(long, ...)') as Syscall;
  return loaded;
}

const callNumbers: ReadonlyMap<string, { readonly addKey: number; readonly keyctl: number }> =
  new Map([
    ['x64', { addKey: 248, keyctl: 250 }],
    ['arm64', { addKey: 217, keyctl: 219 }],
  ]);
const processKeyring = -2;
const userKeyring = -4;
const setPermissions = 5;
const linkKey = 8;
const unlinkKey = 9;
const searchKeyring = 10;
const readKey = 11;
const possessorOnly = 0x3f_00_00_00;
