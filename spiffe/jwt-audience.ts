/** For whom a token may be: at least one validator, each named in a text of its own (J-4). */

/** What is wrong with the list of audiences that a token is asked for, or undefined. */
export function audienceFault(audience: readonly string[]): string | undefined {
  if (audience.length === 0) return 'a JWT-SVID names its audience, one at least';
  if (audience.length > audienceMax) {
    return `${audience.length} audiences, at most ${audienceMax} are taken`;
  }
  if (new Set(audience).size < audience.length) return 'an audience is named twice';
  for (const each of audience) {
    if (each === '') return 'an audience is empty';
    if (each.length > lengthMax) return `an audience has more than ${lengthMax} characters`;
    if (!/^[\x21-\x7e]+$/.test(each)) {
      return 'an audience holds only printable ASCII characters without spaces';
    }
  }
  return undefined;
}

// JWT-SVID §3.2 advises one: whoever is among several can act as the workload towards the others.
const audienceMax = 8;
// As long as a SPIFFE ID may be.
const lengthMax = 2048;
