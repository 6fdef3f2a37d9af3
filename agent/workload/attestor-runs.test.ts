import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { type LogFields, type Logger, silentLogger } from '../../core/index.ts';
import type { UnixCaller } from '../../rpc/index.ts';
import { AgentError } from '../agent-error.ts';
import { type AttestorRun, checkSameProcess, createAttestorRuns } from './attestor-runs.ts';
import type { WorkloadAttestation, WorkloadAttestor } from './workload-attestor.ts';

const caller = (more: Partial<UnixCaller> = {}): UnixCaller => ({
  kind: 'unix',
  connection: 'connection-1',
  pid: 1,
  uid: 0,
  gid: 0,
  process: undefined,
  closed: new AbortController().signal,
  ...more,
});

const attestor = (
  name: string,
  attest: (signal: AbortSignal) => Promise<WorkloadAttestation>,
): WorkloadAttestor => ({ name, deadlineMs: 1000, attest: (_caller, signal) => attest(signal) });

const works = attestor('works', async () => ({ selectors: ['works:yes'] }));
const away = new AgentError('attestor_unavailable', 'unavailable', 'the engine is away');

test('one that fails is left out, logged once, and seen until it works again', async () => {
  const logged: [string, LogFields | undefined][] = [];
  const note = (message: string, fields?: LogFields): void => void logged.push([message, fields]);
  const log: Logger = { ...silentLogger, info: note, warn: note };
  let failure: AgentError | undefined = away;
  const flaky = attestor('flaky', async () => {
    if (failure !== undefined) throw failure;
    return { selectors: ['flaky:yes'] };
  });
  const clock = new ManualClock(5000);
  const runs = createAttestorRuns({ attestors: [works, flaky], clock, log });
  for (const _ of [1, 2, 3]) {
    const { attestations, partial } = await runs.run(caller());
    expect([attestations.flatMap(({ selectors }) => selectors), partial]).toEqual([
      ['works:yes'],
      true,
    ]);
  }
  expect(logged).toEqual([
    ['a workload attestor fails', { attestor: 'flaky', reason: 'the engine is away' }],
  ]);
  expect(runs.status.current()).toMatchObject([
    { name: 'works', failing: false, failureCount: 0, lastSuccessMs: 5000 },
    {
      name: 'flaky',
      failing: true,
      failureCount: 3,
      lastSuccessMs: undefined,
      lastFailure: { atMs: 5000, reason: 'the engine is away' },
    },
  ]);
  failure = undefined;
  expect((await runs.run(caller())).partial).toBe(false);
  expect(runs.status.current()[1]).toMatchObject({ failing: false, failureCount: 3 });
  expect(logged.at(-1)?.[0]).toBe('a workload attestor works again');
});

test('one that does not answer is left at its deadline, whatever it makes of the signal', async () => {
  const clock = new ManualClock(0);
  let told = false;
  const deaf = attestor('deaf', (signal) => {
    signal.addEventListener('abort', () => {
      told = true;
    });
    return new Promise(() => {});
  });
  const runs = createAttestorRuns({ attestors: [deaf, works], clock, log: silentLogger });
  const running = runs.run(caller());
  await clock.advance(999);
  expect(runs.status.current()[0]?.failing).toBe(false);
  await clock.advance(1);
  expect((await running).attestations).toHaveLength(1);
  expect(told).toBe(true);
  expect(runs.status.current()[0]?.lastFailure?.reason).toContain('1000 ms');
});

test.for([
  ['all that fail', away, 'caller_unknown'],
  ['a process that is gone', new AgentError('caller_gone', 'unavailable', 'x'), 'caller_gone'],
  ['another user', new AgentError('caller_changed', 'unavailable', 'x'), 'caller_changed'],
] as const)('%s: unavailable', async ([name, error, code]) => {
  const fails = attestor('fails', async () => {
    throw error;
  });
  // What is the caller's own fault no other attestor makes good.
  const attestors = name === 'all that fail' ? [fails, fails] : [works, fails];
  const runs = createAttestorRuns({ attestors, clock: new ManualClock(0), log: silentLogger });
  await expect(runs.run(caller())).rejects.toMatchObject({ code, kind: 'unavailable' });
  const twin = createAttestorRuns({
    attestors: [works],
    clock: new ManualClock(0),
    log: silentLogger,
  });
  await expect(twin.run(caller())).resolves.toMatchObject({ partial: false });
});

test('a caller that an attestor refuses is not its failure', async () => {
  const refuses = attestor('refuses', async () => {
    throw new AgentError('workload_ambiguous', 'unavailable', 'two pods');
  });
  const runs = createAttestorRuns({
    attestors: [works, refuses],
    clock: new ManualClock(7),
    log: silentLogger,
  });
  expect((await runs.run(caller())).attestations).toHaveLength(1);
  expect(runs.status.current()[1]).toMatchObject({
    failing: false,
    failureCount: 0,
    lastRefusal: { atMs: 7, reason: 'two pods' },
  });
});

test('only the process that connected, with the program that it ran, is the same', () => {
  const process = (alive: boolean, replaced: boolean) => ({
    process: { alive: () => alive, replaced: () => replaced, release() {} },
  });
  checkSameProcess(caller(process(true, false)));
  checkSameProcess(caller());
  expect(() => checkSameProcess(caller(process(false, false)))).toThrow('ended after it connected');
  expect(() => checkSameProcess(caller(process(true, true)))).toThrow('runs another program');
});

describe('while one source hangs', () => {
  const never = attestor('never', () => new Promise(() => {}));
  const checker = (attest: () => Promise<WorkloadAttestation>): WorkloadAttestor => ({
    ...attestor('checker', attest),
    checksCaller: true,
  });
  const setUp = (...attestors: WorkloadAttestor[]) => {
    const clock = new ManualClock(0);
    const patient = attestors.map((one) => ({ ...one, deadlineMs: 30_000 }));
    const runs = createAttestorRuns({ attestors: patient, clock, log: silentLogger });
    const early: AttestorRun[] = [];
    const whole = runs.run(caller(), (run) => early.push(run));
    return { clock, early, whole };
  };
  const found = (run: AttestorRun | undefined): readonly string[] =>
    (run?.attestations ?? []).flatMap(({ selectors }) => selectors);

  test('what the others found is told after a second, once, and the rest at its end', async () => {
    const { clock, early, whole } = setUp(works, never);
    await clock.advance(999);
    expect(early).toEqual([]);
    await clock.advance(1);
    expect(early).toMatchObject([{ partial: true }]);
    expect(found(early[0])).toEqual(['works:yes']);
    await clock.advance(29_000);
    expect(found(await whole)).toEqual(['works:yes']);
    expect(early).toHaveLength(1);
  });

  test('nothing is told before it is known that the caller is who connected', async () => {
    const silent = setUp(
      works,
      checker(() => new Promise(() => {})),
    );
    await silent.clock.advance(2000);
    expect(silent.early).toEqual([]);
    const fails = setUp(
      works,
      never,
      checker(() => Promise.reject(away)),
    );
    await fails.clock.advance(2000);
    expect(fails.early).toEqual([]);
    const answers = setUp(
      works,
      never,
      checker(async () => ({ selectors: ['checker:yes'] })),
    );
    await answers.clock.advance(2000);
    expect(found(answers.early[0])).toEqual(['works:yes', 'checker:yes']);
  });

  test('where all have answered there is nothing to tell early', async () => {
    const { clock, early, whole } = setUp(works);
    await whole;
    await clock.advance(2000);
    expect(early).toEqual([]);
  });
});
