/** Candidates measured in turn, so that whatever else the machine does meets them all alike. */

import { type Spread, spreadOf } from './statistics.ts';

/** One candidate's figures of one round. */
export interface Sample {
  readonly row: string;
  readonly figures: Figures;
}

/** By figure name; the unit is at its end, as in `cpuMicrosPerOperation`. */
export type Figures = Readonly<Record<string, number>>;

export interface Candidate {
  readonly name: string;
  /** False for a program that starts anew each time, and so never gets into its stride. */
  readonly warmsUp?: false;
  /** Measures for about `seconds`. Most give one sample; a program that reports two things gives two. */
  measure(seconds: number): Promise<readonly Sample[]>;
}

export interface Row {
  readonly name: string;
  readonly figures: Readonly<Record<string, Spread>>;
}

export interface RoundOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** Told of each round as it ends. */
  readonly progress: (round: number, samples: readonly Sample[]) => void;
}

/** Runs every candidate once a round, after a long first run that does not count. Rows come in the order of their first sample. */
export async function measureInRounds(
  candidates: readonly Candidate[],
  options: RoundOptions,
): Promise<readonly Row[]> {
  const all: Sample[] = [];
  for (const candidate of candidates) {
    if (candidate.warmsUp !== false) await candidate.measure(options.seconds * warmUpFactor);
  }
  for (let round = 1; round <= options.rounds; round += 1) {
    // Every other round goes backwards, so that no candidate always follows the same neighbour.
    const order = round % 2 === 1 ? candidates : candidates.toReversed();
    const samples: Sample[] = [];
    for (const candidate of order) samples.push(...(await candidate.measure(options.seconds)));
    options.progress(round, samples);
    all.push(...samples);
  }
  return rowsOf(all);
}

function rowsOf(samples: readonly Sample[]): readonly Row[] {
  const byRow = Map.groupBy(samples, (sample) => sample.row);
  return [...byRow].map(([name, ofRow]) => {
    const names = new Set(ofRow.flatMap((sample) => Object.keys(sample.figures)));
    const figures = [...names].map((figure) => {
      const values = ofRow.flatMap((sample) => sample.figures[figure] ?? []);
      return [figure, spreadOf(values)] as const;
    });
    return { name, figures: Object.fromEntries(figures) };
  });
}

// V8 compiles a hot path some ten thousand runs after its start, and what is measured here works for days.
const warmUpFactor = 5;
