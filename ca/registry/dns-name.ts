/** DNS names as a certificate may carry them (RFC 5280 §4.2.1.6, preferred name syntax). */

/** Why the name may not stand in a certificate, or undefined if it may. */
export function dnsNameFault(name: string): string | undefined {
  if (name.length > nameLengthMax) {
    return `a DNS name has ${name.length} characters, at most ${nameLengthMax} are allowed`;
  }
  const labels = name.split('.');
  // RFC 6125 §6.4.3: a wildcard is the whole leftmost label, and stands for one label.
  const isWildcard = labels[0] === '*' && labels.length > 2;
  const isSound = (isWildcard ? labels.slice(1) : labels).every((label) =>
    labelPattern.test(label),
  );
  if (!isSound) return `${JSON.stringify(name)} is not a DNS name in lower case`;
  // A verifier may take digits and dots for an address, which has a form of its own in a SAN.
  if (/^[0-9]+$/.test(labels.at(-1) ?? ''))
    return `${JSON.stringify(name)} looks like an IP address`;
  return undefined;
}

const labelPattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const nameLengthMax = 253;
