/** The `systemd` attestor: unit and slice of the caller, by its cgroup; nobody is asked. */

import { readProcessCgroups } from './process-cgroups.ts';
import { systemdUnitOf } from './systemd-unit.ts';
import { localDeadlineMs, type WorkloadAttestor } from './workload-attestor.ts';

export function createSystemdAttestor(procRoot = '/proc'): WorkloadAttestor {
  return {
    name: 'systemd',
    deadlineMs: localDeadlineMs,
    async attest({ pid }) {
      const cgroups = readProcessCgroups(procRoot, pid);
      const unit = systemdUnitOf(cgroups.text);
      const selectors =
        unit === undefined ? [] : [`systemd:id:${unit.id}`, `systemd:slice:${unit.slice}`];
      return { selectors, holds: cgroups.holds };
    },
  };
}
