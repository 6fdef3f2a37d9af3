/** Where a character of a YAML text value stands in the file, however the text was folded and indented. */

/**
 * YAML folds lines and takes indentation away, which touches white space alone: so as many other
 * characters stand before the place in `written` (the value as it stands in the file) as in `value`.
 * Undefined where that does not hold, as in a quoted text with escapes.
 */
export function writtenOffset(written: string, value: string, offset: number): number | undefined {
  const start = bodyStart(written);
  const body = written.slice(start);
  if (!solid(body).startsWith(solid(value))) return undefined;
  let left = solid(value.slice(0, offset)).length;
  let index = 0;
  for (; index < body.length && (left > 0 || isSpace(body[index])); index += 1) {
    if (!isSpace(body[index])) left -= 1;
  }
  return start + index;
}

/** After the quote of a quoted text, after the first line (`|`, `>`) of a block. */
function bodyStart(written: string): number {
  if (/^["']/.test(written)) return 1;
  return /^[|>]/.test(written) ? written.indexOf('\n') + 1 : 0;
}

function solid(text: string): string {
  return text.replaceAll(/\s/g, '');
}

function isSpace(character: string | undefined): boolean {
  return character === undefined || /\s/.test(character);
}
