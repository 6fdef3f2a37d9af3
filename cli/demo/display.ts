/** The live table on a terminal, and plain lines everywhere else. */

import { formatTable } from '../output.ts';
import { type LoadCounts, percentile } from './load.ts';
import type { SidecarView } from './observe.ts';
import { short } from './rotate-root.ts';

export interface DisplayState {
  readonly elapsedSeconds: number;
  readonly totalSeconds: number;
  readonly counts: LoadCounts;
  readonly sidecars: readonly SidecarView[];
  readonly activeRoot: string;
  readonly caPid: number;
}

export interface Display {
  /** A step of the run, kept on the screen. */
  step(text: string): void;
  update(state: DisplayState): void;
  end(): void;
}

export function createDisplay(write: (text: string) => void, isTerminal: boolean): Display {
  let drawn = 0;
  const erase = (): void => {
    if (drawn > 0) write(`\u001B[${drawn}A\u001B[0J`);
    drawn = 0;
  };
  return {
    step(text) {
      erase();
      write(`· ${text}\n`);
    },
    update(state) {
      const text = formatState(state);
      if (isTerminal) {
        erase();
        write(text);
        drawn = text.split('\n').length - 1;
      } else if (state.elapsedSeconds % plainEverySeconds === 0) {
        write(`  ${summaryOf(state)}\n`);
      }
    },
    end: erase,
  };
}

export function formatState(state: DisplayState): string {
  const table = formatTable(
    ['SIDECAR', 'PROCESS', 'ROTATIONS', 'SERIAL NOW', 'BEFORE'],
    state.sidecars.map((sidecar) => [
      sidecar.name,
      sidecar.ended ?? String(sidecar.pid),
      String(Math.max(0, sidecar.serials.length - 1)),
      tailOf(sidecar.serials.at(-1)),
      sidecar.serials.slice(-4, -1).map(tailOf).join(' '),
    ]),
    'no sidecars',
  );
  return `\n  ${summaryOf(state)}\n\n${table.replaceAll(/^/gm, '  ').trimEnd()}\n`;
}

function summaryOf(state: DisplayState): string {
  const { counts } = state;
  const rotations = state.sidecars
    .map((sidecar) => Math.max(0, sidecar.serials.length - 1))
    .join('+');
  return [
    `${state.elapsedSeconds}/${state.totalSeconds} s`,
    `${counts.requests} requests`,
    `${counts.failed} failed`,
    `p50 ${percentile(counts.latenciesMs, 0.5).toFixed(1)} ms`,
    `p99 ${percentile(counts.latenciesMs, 0.99).toFixed(1)} ms`,
    `${rotations} rotations`,
    `root ${short(state.activeRoot)}`,
    `CA process ${state.caPid}`,
  ].join('  ');
}

// Serials begin alike; what tells them apart is at the end.
function tailOf(serial: string | undefined): string {
  return serial === undefined ? '-' : `…${serial.slice(-8)}`;
}

const plainEverySeconds = 5;
