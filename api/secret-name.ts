/** What a secret of an operator may be called: the CA stores it by this rule, and SDS knows it by the same. */

/** True for a name that an operator may give a secret, whether there is one or not. */
export function isStoredSecretName(name: string): boolean {
  return namePattern.test(name) && !reservedSecretNames.has(name);
}

/** What clients ask for another secret by. `ROOTCA`, `ALL` and the rest have capitals or colons, which no stored one has. */
export const reservedSecretNames: ReadonlySet<string> = new Set(['default', 'session-ticket-keys']);
// What is easy to type, to log and to compare; 128 characters.
const namePattern = /^[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?$/;
