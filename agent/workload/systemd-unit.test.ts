import { expect, test } from 'vitest';
import { systemdUnitOf } from './systemd-unit.ts';

test.for([
  ['0::/system.slice/nginx.service', 'nginx.service', 'system.slice'],
  [
    '0::/system.slice/system-getty.slice/getty@tty1.service',
    'getty@tty1.service',
    'system-getty.slice',
  ],
  ['0::/init.scope', 'init.scope', '-.slice'],
  ['0::/system.slice/_tasks.service', 'tasks.service', 'system.slice'],
  [
    '0::/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service',
    'user@1000.service',
    'user-1000.slice',
  ],
  [
    '5:memory:/other\n1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service',
    'a.service',
    'system.slice',
  ],
  ['1:name=systemd:/\n0::/system.slice/b.service', 'b.service', 'system.slice'],
] as const)('%s is of %s', ([text, id, slice]) => {
  expect(systemdUnitOf(text)).toEqual({ id, slice });
});

test.for(['', '0::/', '0::/system.slice', '0::/../a.service', '0::/docker/x', '4:cpu:/a.service'])(
  '%j is of no unit',
  (text) => {
    expect(systemdUnitOf(text)).toBeUndefined();
  },
);
