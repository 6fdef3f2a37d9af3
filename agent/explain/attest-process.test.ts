import { expect, test } from 'vitest';
import { systemClock } from '../../core/index.ts';
import { AgentError } from '../agent-error.ts';
import type { WorkloadAttestor } from '../workload/workload-attestor.ts';
import { attestProcess } from './attest-process.ts';

const uid = process.getuid?.() ?? 0;
const attestor = (name: string, attest: WorkloadAttestor['attest']): WorkloadAttestor => ({
  name,
  deadlineMs: 50,
  attest,
});
const deps = (...attestors: WorkloadAttestor[]) => ({
  attestors,
  isSought: (prefix: string) => prefix === 'a:dear:',
  clock: systemClock,
});

test('one attestor that fails or hangs takes nothing from another, and says why', async () => {
  const found = await attestProcess(
    process.pid,
    uid,
    deps(
      attestor('a', async () => ({
        selectors: ['a:1'],
        costly: { prefix: 'a:dear:', find: async () => ['a:dear:2'] },
      })),
      attestor('b', async () => {
        throw new AgentError('attestor_unavailable', 'unavailable', 'no engine');
      }),
      attestor('c', () => new Promise(() => {})),
      attestor('d', async () => ({
        selectors: [],
        costly: { prefix: 'd:dear:', find: () => Promise.reject(new Error('never asked')) },
      })),
    ),
  );
  expect([...found.selectors]).toEqual(['a:1', 'a:dear:2']);
  expect(found.notSought).toEqual(['d:dear:']);
  expect(found.attestors.map(({ name, failure }) => [name, failure])).toEqual([
    ['a', undefined],
    ['b', 'no engine'],
    ['c', 'the c attestor has not answered in 50 ms'],
    ['d', undefined],
  ]);
});

test('whose process it is may ask, root may ask, and another user may not', async () => {
  for (const asker of [uid, 0]) {
    expect(await attestProcess(process.pid, asker, deps())).toMatchObject({ uid });
  }
  await expect(attestProcess(process.pid, uid + 1, deps())).rejects.toMatchObject({
    code: 'process_foreign',
    kind: 'permission_denied',
  });
});

test('a process that is not there is not found', async () => {
  await expect(attestProcess(2 ** 31 - 1, 0, deps())).rejects.toMatchObject({
    code: 'process_unknown',
    kind: 'not_found',
  });
});
