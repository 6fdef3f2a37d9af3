/** What was made of the objects used of late; each is dropped with its object, or when there are too many. */

export class Remembered<Key extends object, Value> {
  readonly #max: number;
  #values = new WeakMap<Key, Value>();
  #size = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get(key: Key): Value | undefined {
    return this.#values.get(key);
  }

  set(key: Key, value: Value): void {
    this.#size += 1;
    if (this.#size > this.#max) {
      this.#values = new WeakMap();
      this.#size = 1;
    }
    this.#values.set(key, value);
  }
}
