import { afterEach, beforeEach, expect, test } from 'vitest';
import { proveRecord, verifyAuditLog } from '../../ca/index.ts';
import { type RotationStep, rotateRoot } from '../../cli/commands/authority-rotate.ts';
import { systemClock } from '../../core/index.ts';
import { CaProcess } from './ca-process.ts';

let ca: CaProcess;
beforeEach(async () => {
  ca = await CaProcess.begin();
});
afterEach(() => ca.end());

test.for(['root', 'jwt'] as const)(
  'killed at every step of a rotation of the %s, it ends as if it had not been',
  { timeout: 60_000 },
  async (tier) => {
    const { admin, auditDirectory } = ca;
    const keys = async () => {
      const { authorities } = await admin.listAuthorities();
      return authorities.filter((each) => each.tier === tier);
    };
    const [before] = await keys();
    const steps: RotationStep[] = [];
    let kills = 0;
    let restarts: Promise<void> = Promise.resolve();
    const outcome = await rotateRoot({
      admin,
      tier,
      clock: systemClock,
      stopped: new AbortController().signal,
      force: false,
      onStep: (step) => {
        steps.push(step);
        if (step.state !== 'done') return;
        kills += ca.kill() ? 1 : 0;
        restarts = restarts.then(() => ca.stop('SIGKILL')).then(() => ca.start());
      },
    });
    await restarts;
    if (outcome.kind !== 'rotated') throw new Error('interrupted');
    const done = steps.filter(({ state }) => state === 'done').map(({ step }) => step);
    expect(done[0]).toBe('prepare');
    expect(new Set(done)).toEqual(new Set(['prepare', 'publish', 'activate', 'retire']));
    expect(kills).toBeGreaterThanOrEqual(4);
    const states = (await keys()).map(({ id, state }) => [id, state]);
    const retired = tier === 'root' ? [[before?.id, 'retired']] : [];
    expect(states).toEqual([...retired, [outcome.id, 'active']]);

    // Each step once, in its order, whatever was killed, and each in the log for whoever asks.
    const { proof } = outcome;
    expect(proof.steps.map(({ step, authorityId }) => [step, authorityId])).toEqual([
      ['prepared', outcome.id],
      ['published', outcome.id],
      ['activated', outcome.id],
      ['retired', before?.id],
    ]);
    expect(proof.steps[2]?.evidence).toMatchObject({ threshold: 1 });
    await ca.stop('SIGTERM');
    expect(await verifyAuditLog({ directory: auditDirectory })).toMatchObject({ kind: 'ok' });
    for (const { index, authorityId } of proof.steps) {
      const { line } = await proveRecord({ directory: auditDirectory }, index);
      expect(JSON.parse(Buffer.from(line).toString())).toMatchObject({
        index,
        authority: { keyId: authorityId },
      });
    }
  },
);
