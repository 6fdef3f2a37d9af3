/** The fields of an HTTP/2 message without its pseudo-fields. */

import type { Fields } from '../fields.ts';
import type { Field } from './field.ts';

export class FieldList implements Fields {
  /** Pseudo-fields and fields, as they came. */
  readonly all: readonly Field[];
  /** Where the fields begin. */
  readonly from: number;

  constructor(all: readonly Field[], from: number) {
    this.all = all;
    this.from = from;
  }

  get count(): number {
    return this.all.length - this.from;
  }

  /** RFC 9113 §8.2.3: cookies come in crumbs, and are joined as one field would have them. */
  get(name: string): string | undefined {
    const lowerName = name.toLowerCase();
    const separator = lowerName === 'cookie' ? '; ' : ', ';
    let value: string | undefined;
    for (let at = this.from; at < this.all.length; at += 1) {
      const field = this.all[at];
      if (field?.name !== lowerName) continue;
      value = value === undefined ? field.value : value + separator + field.value;
    }
    return value;
  }

  has(name: string): boolean {
    const lowerName = name.toLowerCase();
    for (let at = this.from; at < this.all.length; at += 1) {
      if (this.all[at]?.name === lowerName) return true;
    }
    return false;
  }

  *entries(): IterableIterator<[name: string, value: string]> {
    for (let at = this.from; at < this.all.length; at += 1) {
      const field = this.all[at];
      if (field !== undefined) yield [field.name, field.value];
    }
  }
}
