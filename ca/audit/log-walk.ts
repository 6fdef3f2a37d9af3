/** One pass over the records of a log, judging each against the one before and the whole against its checkpoint. */

import { equalBytes, toHex } from '../../core/index.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { AuditRecord } from './event.ts';
import { appendLeaf, emptyTree, type MerkleTree, rootHashOf } from './merkle.ts';
import { ChainReader, type LineVerdict, noPrevious } from './record-line.ts';

export type AuditVerdict =
  | {
      readonly kind: 'ok';
      readonly origin: string;
      /** How many records the checkpoint covers. */
      readonly size: number;
      /** Lower hexadecimal. */
      readonly rootHash: string;
      readonly firstTime: string | undefined;
      readonly lastTime: string | undefined;
      /** How many records of each type. */
      readonly counts: Readonly<Record<string, number>>;
      /** Sound records after the checkpoint: of a live log, or of one that was killed. */
      readonly unsealed: number;
      /** Records that were moved away with their sealed segments: proven by the tiles, not read. */
      readonly archived: number;
      /** Tiles that are not there though their records are: the CA makes them again when it starts. */
      readonly tilesMissing: number;
    }
  | {
      readonly kind: 'broken';
      readonly code: AuditFaultCode;
      /** The record at which the fault shows. */
      readonly index: number;
      readonly detail: string;
    };

export type AuditFaultCode =
  /** There is nothing that speaks for the records. */
  | 'no_checkpoint'
  | 'bad_checkpoint'
  | 'bad_signature'
  | 'bad_key'
  /** Records that were signed are gone. */
  | 'truncated'
  /** A record was changed, moved, added or taken out. */
  | 'edited'
  /** A record that was signed is there in part. */
  | 'torn'
  /** Each record follows the one before, yet they are not those that were signed. */
  | 'forked'
  /** A tile does not hold the hashes of the records, though these are the ones that were signed. */
  | 'tile_edited'
  /** A tile is gone, and the records that it speaks for were archived. */
  | 'tile_missing'
  /** What a full segment was sealed with does not fit it. */
  | 'bad_seal'
  /** A segment is marked as archived, and the log did not sign that. */
  | 'bad_mark';

export type Broken = Extract<AuditVerdict, { kind: 'broken' }>;

/** The tree and the chain as they grow; give it every line in order, then ask for the end. */
export class LogWalk {
  readonly #checkpoint: Checkpoint;
  readonly #known: Checkpoint | undefined;
  readonly #onLeaf: (leafHash: Uint8Array) => void;
  readonly #chain = new ChainReader(0, noPrevious);
  readonly #counts = new Map<string, number>();
  #tree: MerkleTree = emptyTree;
  #firstTime: string | undefined;
  #lastTime: string | undefined;
  #unsealed = 0;
  #archived = 0;
  /** Where the newest record stands that says the CA was restored from a backup. */
  #restoredAt: number | undefined;
  /** An unfinished write was met past the checkpoint; what follows it says nothing. */
  #isOver = false;

  /** `onLeaf` is told the hash of each record that the checkpoint covers. */
  constructor(
    checkpoint: Checkpoint,
    known: Checkpoint | undefined,
    onLeaf: (leafHash: Uint8Array) => void,
  ) {
    this.#checkpoint = checkpoint;
    this.#known = known;
    this.#onLeaf = onLeaf;
  }

  beginSegment(firstIndex: number): Broken | undefined {
    const index = this.#chain.index();
    if (firstIndex === index || this.#isOver) return undefined;
    return firstIndex > index
      ? broken('truncated', index, `records ${index} to ${firstIndex - 1} are missing`)
      : broken('edited', firstIndex, `a file begins anew at record ${firstIndex}`);
  }

  /** The index the next record must have. */
  index(): number {
    return this.#chain.index();
  }

  /** How many records were stepped past. */
  archived(): number {
    return this.#archived;
  }

  /** Steps past a record that is not there, by its hash. */
  archivedLeaf(leafHash: Uint8Array): Broken | undefined {
    const fault = this.#checkRoots();
    if (fault !== undefined) return fault;
    this.#chain.skip(leafHash);
    this.#archived += 1;
    this.#grow(leafHash);
    return undefined;
  }

  line(line: Uint8Array): Broken | undefined {
    if (this.#isOver) return undefined;
    const rootFault = this.#checkRoots();
    const verdict = this.#chain.read(line);
    if (verdict.kind !== 'sound') return this.#judge(verdict, rootFault);
    if (rootFault !== undefined) return rootFault;
    this.#count(verdict.record);
    this.#grow(verdict.leafHash);
    return undefined;
  }

  /** A last line without its end. */
  torn(): Broken | undefined {
    const index = this.#chain.index();
    if (index < this.#checkpoint.size) return broken('torn', index, `record ${index} has no end`);
    this.#isOver = true;
    return undefined;
  }

  end(): AuditVerdict {
    const { origin, size, rootHash } = this.#checkpoint;
    const found = this.#chain.index();
    const needed = Math.max(size, this.#known?.size ?? 0);
    const fault = this.#checkRoots();
    if (fault !== undefined) return fault;
    if (found < needed) {
      const detail = `${needed} records were signed, ${found} are there${this.#restoredText()}`;
      return broken('truncated', found, detail);
    }
    return {
      kind: 'ok',
      origin,
      size,
      rootHash: toHex(rootHash),
      firstTime: this.#firstTime,
      lastTime: this.#lastTime,
      counts: Object.fromEntries(this.#counts),
      unsealed: this.#unsealed,
      archived: this.#archived,
      tilesMissing: 0,
    };
  }

  #grow(leafHash: Uint8Array): void {
    if (this.#tree.size < this.#checkpoint.size) this.#onLeaf(leafHash);
    this.#tree = appendLeaf(this.#tree, leafHash);
  }

  #judge(verdict: Exclude<LineVerdict, { kind: 'sound' }>, rootFault?: Broken): Broken | undefined {
    const index = this.#chain.index();
    if (verdict.kind === 'misplaced') {
      return broken('edited', index, `record ${verdict.found} stands where ${index} belongs`);
    }
    if (verdict.kind === 'unchained') {
      const changed = Math.max(0, index - 1);
      return broken('edited', changed, `record ${index} does not follow record ${changed}`);
    }
    if (index < this.#checkpoint.size) {
      return broken('edited', index, `record ${index} is not a record`);
    }
    this.#isOver = true;
    return rootFault;
  }

  /** At the sizes that were signed, the root must be the one that was signed. */
  #checkRoots(): Broken | undefined {
    for (const signed of [this.#known, this.#checkpoint]) {
      if (signed === undefined || signed.size !== this.#tree.size) continue;
      if (equalBytes(rootHashOf(this.#tree), signed.rootHash)) continue;
      return broken(
        'forked',
        Math.max(0, signed.size - 1),
        `the first ${signed.size} records are not those that were signed${this.#restoredText()}`,
      );
    }
    return undefined;
  }

  /** A fork after a restore is what a restore is: what the lost CA signed later is not here. */
  #restoredText(): string {
    if (this.#restoredAt === undefined) return '';
    return `; record ${this.#restoredAt} says that the CA was restored from a backup`;
  }

  #count(record: AuditRecord): void {
    if (record.type === 'ca.restored') this.#restoredAt = record.index;
    if (this.#tree.size >= this.#checkpoint.size) {
      this.#unsealed += 1;
      return;
    }
    this.#firstTime ??= record.time;
    this.#lastTime = record.time;
    this.#counts.set(record.type, (this.#counts.get(record.type) ?? 0) + 1);
  }
}

export function broken(code: AuditFaultCode, index: number, detail: string): Broken {
  return { kind: 'broken', code, index, detail };
}
