/** From the cgroups of a process to its systemd unit, by the layout that systemd keeps (cgroups of systemd.slice(5)). */

import { parseCgroupFile } from './container-cgroup.ts';

export interface SystemdUnit {
  /** Such as `nginx.service`. */
  readonly id: string;
  /** The innermost slice it is in; `-.slice` is the root. */
  readonly slice: string;
}

/**
 * The system's unit: slices, then the unit. What is below it was made by the unit itself, which may name
 * it as it likes, so a user's own service is `user@1000.service`, as the system's manager says too.
 */
export function systemdUnitOf(cgroups: string): SystemdUnit | undefined {
  const lines = parseCgroupFile(cgroups);
  // Where v1 hierarchies are mounted beside, systemd keeps one of its own, which may stand there unused.
  const own = lines.find(({ controllers, path }) => controllers === 'name=systemd' && path !== '/');
  const line = own ?? lines.find(({ controllers }) => controllers === '');
  // `..` is above our own cgroup namespace: where the root is cannot be known then.
  const names = line?.path.split('/').slice(1) ?? [];
  if (names.includes('..')) return undefined;
  const slices = names.slice(
    0,
    Math.max(
      0,
      names.findIndex((name) => !name.endsWith('.slice')),
    ),
  );
  // A name that would clash with a kernel file begins with an underscore.
  const id = (names[slices.length] ?? '').replace(/^_/, '');
  return unitPattern.test(id) ? { id, slice: slices.at(-1) ?? '-.slice' } : undefined;
}

// systemd.unit(5): what a unit's name is made of, and the types that have processes.
const unitPattern = /^[A-Za-z0-9:_.\\@-]{1,255}\.(?:service|scope|socket|mount|swap)$/;
