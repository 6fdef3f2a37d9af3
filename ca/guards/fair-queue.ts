/**
 * A queue that is fair to callers, not to requests: deficit round robin (Shreedhar and Varghese, 1995).
 *
 * Each caller has a line of its own. A turn gives a caller one quantum; it may send what its saved
 * quanta pay for, then the next caller has its turn. So one caller with a thousand requests delays
 * another's single one by at most a quantum of work, and costs of different size come out even.
 */

export interface FairQueueBounds {
  /** The most items that may wait, all callers together. */
  readonly itemsMax: number;
  /** The most items of one caller that may wait. */
  readonly itemsPerCallerMax: number;
}

export type Enqueued = 'queued' | 'queue_full' | 'caller_full';

interface Waiting<Item> {
  readonly item: Item;
  readonly cost: number;
}

interface Line<Item> {
  readonly caller: string;
  readonly items: Waiting<Item>[];
  deficit: number;
}

export class FairQueue<Item> {
  readonly #bounds: FairQueueBounds;
  /** Only callers that wait for something; whose turn it is stands first (a Map keeps its order). */
  readonly #lines = new Map<string, Line<Item>>();
  #size = 0;

  constructor(bounds: FairQueueBounds) {
    this.#bounds = bounds;
  }

  size(): number {
    return this.#size;
  }

  /** How many items of `caller` wait. */
  sizeOf(caller: string): number {
    return this.#lines.get(caller)?.items.length ?? 0;
  }

  callers(): Iterable<string> {
    return this.#lines.keys();
  }

  /** `cost` is at least 1; what is refused is not kept. */
  enqueue(caller: string, cost: number, item: Item): Enqueued {
    if (this.#size >= this.#bounds.itemsMax) return 'queue_full';
    if (this.sizeOf(caller) >= this.#bounds.itemsPerCallerMax) return 'caller_full';
    const line = this.#lines.get(caller) ?? this.#newLine(caller);
    line.items.push({ item, cost });
    this.#size += 1;
    return 'queued';
  }

  /**
   * The next item in fair order among callers that `mayGo` lets through; undefined if there is none. A
   * caller that may not go now loses no place in its own line and holds up nobody else.
   */
  dequeue(mayGo: (caller: string, cost: number) => boolean): Item | undefined {
    const barred = new Set<string>();
    while (barred.size < this.#lines.size) {
      const [line] = this.#lines.values();
      const head = line?.items[0];
      if (line === undefined || head === undefined) return undefined;
      if (barred.has(line.caller)) {
        this.#endTurn(line);
      } else if (line.deficit < head.cost) {
        line.deficit += quantum;
        if (line.deficit < head.cost) this.#endTurn(line);
      } else if (mayGo(line.caller, head.cost)) {
        return this.#take(line, head);
      } else {
        barred.add(line.caller);
        this.#endTurn(line);
      }
    }
    return undefined;
  }

  #take(line: Line<Item>, head: Waiting<Item>): Item {
    line.items.shift();
    line.deficit -= head.cost;
    this.#size -= 1;
    // A caller with nothing to send saves nothing up, else quiet callers could burst past the others.
    if (line.items.length === 0) this.#lines.delete(line.caller);
    else if (line.deficit < (line.items[0]?.cost ?? 0)) this.#endTurn(line);
    return head.item;
  }

  #endTurn(line: Line<Item>): void {
    this.#lines.delete(line.caller);
    this.#lines.set(line.caller, line);
  }

  #newLine(caller: string): Line<Item> {
    const line: Line<Item> = { caller, items: [], deficit: 0 };
    this.#lines.set(caller, line);
    return line;
  }
}

// The cheapest request costs one: a turn of the smallest size that always lets somebody go.
const quantum = 1;
