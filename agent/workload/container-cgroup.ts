/**
 * From the cgroups of a process to its container and pod. Pure: the texts of `/proc/<pid>/cgroup` and
 * `mountinfo` in, an answer out (cgroups(7), proc_pid_mountinfo(5)).
 *
 * Who can make cgroups below its own can give them any name. So what is nearest the root counts, and two
 * answers that differ are no answer.
 */

export type ContainerCgroup =
  /** In no container that a name tells of. */
  | { readonly kind: 'none' }
  | {
      readonly kind: 'container';
      /** 64 hex digits. */
      readonly containerId: string;
      /** As the API writes it; undefined where the path does not tell. */
      readonly podUid: string | undefined;
    }
  | { readonly kind: 'refused'; readonly detail: string };

export interface CgroupLine {
  /** Controllers of a v1 hierarchy, such as `memory` or `name=systemd`; empty for v2. */
  readonly controllers: string;
  readonly path: string;
}

/** `N:controllers:/path` in each line. What is not of this form is left out. */
export function parseCgroupFile(text: string): readonly CgroupLine[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    return match === null ? [] : [{ controllers: match[1] ?? '', path: match[2] ?? '' }];
  });
}

/**
 * @param mountinfo is looked at only for a process at the root of its cgroup namespace (`0::/`), whose
 * own path says nothing. Undefined does without.
 */
export function containerOfCgroups(cgroups: string, mountinfo?: string): ContainerCgroup {
  const paths = parseCgroupFile(cgroups).map(({ path }) => path);
  const found = containerOfPaths(paths);
  const atRoot = paths.length > 0 && paths.every((path) => path === '/');
  if (found.kind !== 'none' || !atRoot || mountinfo === undefined) return found;
  return containerOfPaths(cgroupMountRoots(mountinfo));
}

function containerOfPaths(paths: readonly string[]): ContainerCgroup {
  const containers = new Set<string>();
  const pods = new Set<string>();
  for (const path of paths) {
    const found = containerOfPath(path);
    if (found.kind === 'refused') return found;
    if (found.kind === 'none') continue;
    containers.add(found.containerId);
    if (found.podUid !== undefined) pods.add(found.podUid);
  }
  const [containerId] = containers;
  if (containerId === undefined) return none;
  if (containers.size > 1) return refused(`two containers: ${[...containers].join(', ')}`);
  if (pods.size > 1) return refused(`two pods: ${[...pods].join(', ')}`);
  return { kind: 'container', containerId, podUid: [...pods][0] };
}

function containerOfPath(path: string): ContainerCgroup {
  // containerd under systemd writes `…-pod<uid>.slice:cri-containerd:<id>` as one name.
  const names = path.split(/[/:]/);
  const podUids = new Set(names.flatMap((name) => podUidOf(name) ?? []));
  if (podUids.size > 1) return refused(`two pods in ${path}`);
  const [podUid] = podUids;
  // All of them, also before the pod: a container may make a cgroup below its own and call it a pod.
  const containers = new Set(names.flatMap((name) => containerIdOf(name) ?? []));
  if (containers.size > 1) return refused(`two containers in ${path}`);
  const [containerId] = containers;
  if (containerId === undefined) return none;
  const pod = names.findIndex((name) => podUidOf(name) !== undefined);
  const container = names.findIndex((name) => containerIdOf(name) !== undefined);
  if (container < pod) return refused(`a pod below a container in ${path}`);
  // A service may be given its cgroup to divide as it likes (`Delegate=`), and most have users of their own.
  const service = names
    .slice(0, container)
    .find((name) => name.endsWith('.service') && !runtimes.has(name));
  if (service !== undefined) return refused(`${path} is below ${service}, which is no runtime`);
  // Users own what is below user.slice, names included.
  if (names.includes('user.slice')) return refused(`${path} is below user.slice`);
  return { kind: 'container', containerId, podUid };
}

/** `pod<uid>`, or `kubepods-burstable-pod<uid>.slice` with whatever punctuation the driver writes. */
function podUidOf(name: string): string | undefined {
  const match = /^(?:kubepods[a-z-]*-)?pod([0-9a-f][0-9a-f._-]{30,34}[0-9a-f])(?:\.slice)?$/i.exec(
    name,
  );
  const text = match?.[1]?.toLowerCase();
  if (text === undefined) return undefined;
  // A static pod's uid is the hash of its file.
  if (/^[0-9a-f]{32}$/.test(text)) return text;
  return uidPattern.test(text) ? text.replaceAll(/[._]/g, '-') : undefined;
}

function containerIdOf(name: string): string | undefined {
  const match = /^((?:[a-z][a-z0-9]*-)*)([0-9a-f]{64})(?:\.scope)?$/.exec(name);
  // The process that watches a container (conmon) is not in it.
  return match?.[1]?.includes('conmon-') === true ? undefined : match?.[2];
}

/** What is mounted of cgroup file systems. Other file systems can have any path as their root. */
function cgroupMountRoots(mountinfo: string): readonly string[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root = '', mountPoint = ''] = before.split(' ');
    const [fileSystem = ''] = after.split(' ');
    const isCgroup = fileSystem === 'cgroup' || fileSystem === 'cgroup2';
    return isCgroup && /^\/sys\/fs\/cgroup(?:\/|$)/.test(mountPoint) ? [root] : [];
  });
}

function refused(detail: string): ContainerCgroup {
  return { kind: 'refused', detail };
}

// Those that make the containers of a machine, and are root's.
const runtimes: ReadonlySet<string> = new Set(
  ['containerd', 'crio', 'docker', 'k3s', 'k3s-agent', 'kubelet', 'podman', 'rke2-agent'].map(
    (name) => `${name}.service`,
  ),
);
const none: ContainerCgroup = { kind: 'none' };
const uidPattern = /^[0-9a-f]{8}[._-][0-9a-f]{4}[._-][0-9a-f]{4}[._-][0-9a-f]{4}[._-][0-9a-f]{12}$/;
