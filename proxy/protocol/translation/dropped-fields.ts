/** Which fields stay behind when a message goes on: names compared as those do to whom `_` is `-`. */

export function foldedName(lowerName: string): string {
  return lowerName.includes('_') ? lowerName.replaceAll('_', '-') : lowerName;
}

/** `folded` are a few names at most, so that a walk is quicker than a set. */
export function isDroppedName(folded: readonly string[], name: string): boolean {
  for (const each of folded) {
    if (each === name) return true;
  }
  return false;
}
