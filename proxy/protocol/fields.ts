/** The fields of a message, whatever protocol brought them. */

export interface Fields {
  readonly count: number;
  /** The value; several lines of one name are joined as that name allows. */
  get(name: string): string | undefined;
  has(name: string): boolean;
  /** Name and value of each line, in order. */
  entries(): IterableIterator<[name: string, value: string]>;
}
