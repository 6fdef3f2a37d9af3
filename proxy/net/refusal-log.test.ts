import { expect, test } from 'vitest';
import type { Logger } from '../../core/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { RefusalLog } from './refusal-log.ts';

/** Remembers the level and the fields of each line. */
function recording(lines: unknown[]): Logger {
  const at =
    (level: string) =>
    (_message: string, fields?: object): void =>
      void lines.push([level, fields]);
  const log: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: () => log,
  };
  return log;
}

test('the first of each kind in a minute is a warning, which says how many had none', async () => {
  const lines: unknown[] = [];
  const clock = new ManualClock(0);
  const refusals = new RefusalLog('in', recording(lines), clock);
  const fields = { listener: 'in', peer: '192.0.2.7:1', reason: 'why' };
  const write = (kind: string): void => refusals.write(kind, '192.0.2.7:1', 'why');
  write('one');
  write('one');
  write('other');
  write('one');
  await clock.advance(59_999);
  write('one');
  expect(lines).toEqual([
    ['warn', fields],
    ['debug', fields],
    ['warn', fields],
    ['debug', fields],
    ['debug', fields],
  ]);
  lines.length = 0;
  await clock.advance(1);
  write('one');
  write('other');
  expect(lines).toEqual([
    ['warn', { ...fields, unsaid: 3 }],
    ['warn', fields],
  ]);
});

test('what else is known stands beside the reason', () => {
  const lines: unknown[] = [];
  const refusals = new RefusalLog('in', recording(lines), new ManualClock(0));
  refusals.write('one', '192.0.2.7:1', 'why', { cluster: 'app' });
  expect(lines).toEqual([
    ['warn', { listener: 'in', peer: '192.0.2.7:1', cluster: 'app', reason: 'why' }],
  ]);
});
