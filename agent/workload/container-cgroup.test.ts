import fc from 'fast-check';
import { expect, test } from 'vitest';
import { containerOfCgroups, parseCgroupFile } from './container-cgroup.ts';

const id = '0123456789abcdef'.repeat(4);
const other = 'f'.repeat(64);
const uid = '6f1c2d3e-0a1b-4c5d-8e9f-001122334455';
const uidWith = (mark: string): string => uid.replaceAll('-', mark);
const hashUid = '0123456789abcdef'.repeat(2);
const inPod = { kind: 'container', containerId: id, podUid: uid };
const alone = { kind: 'container', containerId: id, podUid: undefined };

test.for([
  ['cgroupfs, guaranteed', `0::/kubepods/pod${uid}/${id}`, inPod],
  ['cgroupfs, burstable', `0::/kubepods/burstable/pod${uid}/${id}`, inPod],
  ['cgroupfs, best effort', `0::/kubepods/besteffort/pod${uid}/${id}`, inPod],
  ['below a runtime that is a service', `0::/system.slice/docker.service/docker/${id}`, alone],
  [
    'systemd and docker',
    `0::/kubepods.slice/kubepods-pod${uidWith('_')}.slice/docker-${id}.scope`,
    inPod,
  ],
  [
    'systemd and containerd',
    `0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${uidWith('_')}.slice/cri-containerd-${id}.scope`,
    inPod,
  ],
  [
    'systemd and CRI-O, with a cgroup of its own inside',
    `0::/kubepods.slice/kubepods-besteffort-pod${uidWith('_')}.slice/crio-${id}.scope/container`,
    inPod,
  ],
  [
    'containerd in one name',
    `0::/system.slice/containerd.service/kubepods-burstable-pod${uidWith('_')}.slice:cri-containerd:${id}`,
    inPod,
  ],
  ['seen from a cgroup namespace', `0::/../../pod${uid}/${id}`, inPod],
  ['seen from a cgroup namespace, without a pod', `0::/../crio-${id}.scope`, alone],
  ['a static pod', `0::/kubepods/pod${hashUid}/${id}`, { ...inPod, podUid: hashUid }],
  [
    'v1, each hierarchy with the same answer',
    `12:pids:/kubepods/pod${uid}/${id}\n11:memory:/kubepods/pod${uid}/${id}\n1:name=systemd:/kubepods/pod${uid}/${id}\n0::/`,
    inPod,
  ],
  ['v1, one hierarchy only', `12:pids:/\n11:memory:/docker/${id}\n`, alone],
  ['docker', `0::/docker/${id}`, alone],
  ['docker under systemd', `0::/system.slice/docker-${id}.scope`, alone],
  ['podman', `0::/machine.slice/libpod-${id}.scope/container`, alone],
  ['the watcher of a container', `0::/machine.slice/libpod-conmon-${id}.scope`, { kind: 'none' }],
  [
    'the watcher of a container in a pod',
    `0::/kubepods/pod${uid}/crio-conmon-${id}.scope`,
    { kind: 'none' },
  ],
  ['a service', '0::/system.slice/ssh.service', { kind: 'none' }],
  ['a pod without a container', `0::/kubepods/pod${uid}`, { kind: 'none' }],
  ['an id that is too short', `0::/docker/${id.slice(1)}`, { kind: 'none' }],
  ['an id that is too long', `0::/docker/a${id}`, { kind: 'none' }],
  ['an id in capitals', `0::/docker/${other.toUpperCase()}`, { kind: 'none' }],
  ['a removed cgroup', `0::/docker/${id} (deleted)`, { kind: 'none' }],
  ['nothing', '', { kind: 'none' }],
] as const)('%s', ([, text, expected]) => {
  expect(containerOfCgroups(text)).toEqual(expected);
});

test.for([
  ['two containers', `2:pids:/docker/${id}\n1:memory:/docker/${other}`],
  ['two pods', `2:pids:/kubepods/pod${uid}/${id}\n1:memory:/kubepods/pod${hashUid}/${id}`],
  ['a container that a container has made', `0::/docker/${id}/docker/${other}`],
  ['a container that a pod has made', `0::/kubepods/pod${uid}/${id}/${other}`],
  ['its own pod again, made by a pod', `0::/kubepods/pod${uid}/${id}/pod${uid}/${other}`],
  ['a pod that a pod has made', `0::/kubepods/pod${uid}/${id}/pod${hashUid}/${other}`],
  ['a pod that a container has made', `0::/docker/${other}/kubepods/pod${uid}/${id}`],
  ['the same without an id of its own', `0::/machine.slice/libpod-${id}.scope/pod${uid}`],
  ['what a service may name', `0::/system.slice/hostile.service/docker-${id}.scope`],
  [
    'what a user may name',
    `0::/user.slice/user-1000.slice/user@1000.service/kubepods-pod${uidWith('_')}.slice/cri-containerd-${id}.scope`,
  ],
] as const)('%s is refused', ([, text]) => {
  expect(containerOfCgroups(text).kind).toBe('refused');
});

const mounts = (root: string, fileSystem = 'cgroup2', point = '/sys/fs/cgroup'): string =>
  `22 21 0:21 / /proc rw - proc proc rw\n33 32 0:28 ${root} ${point} ro,nosuid - ${fileSystem} cgroup rw\n`;

test.for([
  ['names the container', '0::/', mounts(`/kubepods/pod${uid}/${id}`), inPod],
  ['is not asked if the path says it', `0::/docker/${id}`, mounts(`/docker/${other}`), alone],
  ['is not asked outside the root', '0::/system.slice/x.service', mounts(`/docker/${id}`), none()],
  ['counts for cgroups only', '0::/', mounts(`/docker/${id}`, 'ext4'), none()],
  ['counts where cgroups belong only', '0::/', mounts(`/docker/${id}`, 'cgroup2', '/tmp'), none()],
] as const)('mountinfo %s', ([, text, mountinfo, expected]) => {
  expect(containerOfCgroups(text, mountinfo)).toEqual(expected);
  expect(containerOfCgroups('0::/')).toEqual(none());
});

function none() {
  return { kind: 'none' };
}

test('any text has an answer, and whatever is made below a container changes it to none other', () => {
  const name = fc.oneof(
    fc.constantFrom(
      id,
      other,
      `pod${uid}`,
      `pod${hashUid}`,
      `docker-${other}.scope`,
      '..',
      'user.slice',
    ),
    fc.string({ unit: fc.constantFrom('a', '0', '-', '.', ':', ' ', 'pod', 'é'), maxLength: 12 }),
  );
  fc.assert(
    fc.property(fc.array(name, { maxLength: 6 }), fc.string(), (names, noise) => {
      const found = containerOfCgroups(
        `${noise}\n0::/kubepods/pod${uid}/${id}/${names.join('/')}\n`,
        noise,
      );
      if (found.kind !== 'refused') expect(found).toEqual(inPod);
      expect(parseCgroupFile(noise).every(({ path }) => path.startsWith('/'))).toBe(true);
    }),
  );
});
