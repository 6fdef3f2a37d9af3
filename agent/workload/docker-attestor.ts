/** The `docker` attestor: labels and image of the caller's container, from the engine's own socket. */

import { z } from 'zod';
import { getJson, unavailable } from './http-source.ts';
import { containerOfProcess, readProcessCgroups } from './process-cgroups.ts';
import { localDeadlineMs, type WorkloadAttestor } from './workload-attestor.ts';

export interface DockerAttestorOptions {
  /** Docker's, or Podman's, which speaks the same. */
  readonly socket: string;
  /** Names of environment variables that become selectors: they may hold secrets, so none does by itself. */
  readonly env: readonly string[];
  readonly useMountinfo: boolean;
  readonly procRoot?: string;
}

export function createDockerAttestor(options: DockerAttestorOptions): WorkloadAttestor {
  const { socket, useMountinfo, procRoot = '/proc' } = options;
  const target = { kind: 'unix', path: socket } as const;
  // Callers of one container that come together cost one request.
  const asking = new Map<string, Promise<readonly string[]>>();
  const ask = (id: string, signal: AbortSignal): Promise<readonly string[]> =>
    getJson(target, `/containers/${id}/json`, signal).then((value) => {
      // Not of this engine: of another runtime's, which is nothing wrong.
      if (value === undefined) return [];
      const parsed = containerSchema.safeParse(value);
      if (!parsed.success || parsed.data.Id !== id) {
        throw unavailable(target, `the answer is not container ${id}`);
      }
      return containerSelectors(parsed.data, options.env);
    });
  const askShared = (id: string, signal: AbortSignal): Promise<readonly string[]> => {
    const known = asking.get(id);
    if (known !== undefined) return known;
    const answer = ask(id, signal).finally(() => asking.delete(id));
    asking.set(id, answer);
    return answer;
  };
  return {
    name: 'docker',
    deadlineMs: localDeadlineMs,
    async attest({ pid }, signal) {
      const cgroups = readProcessCgroups(procRoot, pid);
      const container = await containerOfProcess(cgroups, procRoot, pid, useMountinfo);
      const selectors =
        container === undefined ? [] : await askShared(container.containerId, signal);
      // A container's labels, image and environment never change: only the cgroup can.
      return { selectors, holds: cgroups.holds };
    },
  };
}

function containerSelectors(
  { Id, Image, Config }: z.output<typeof containerSchema>,
  env: readonly string[],
): readonly string[] {
  const wanted = (Config.Env ?? []).filter((line) => env.includes(line.split('=', 1)[0] ?? ''));
  return [
    `docker:container_id:${Id}`,
    ...Object.entries(Config.Labels ?? {}).map(([name, value]) => `docker:label:${name}:${value}`),
    `docker:image_id:${Config.Image}`,
    `docker:image_config_digest:${Image}`,
    ...wanted.map((line) => `docker:env:${line}`),
  ];
}

// The engine says much more: this object is open on purpose.
const containerSchema = z.object({
  Id: z.string(),
  Image: z.string(),
  Config: z.object({
    Image: z.string(),
    Labels: z.record(z.string(), z.string()).nullish(),
    Env: z.array(z.string()).nullish(),
  }),
});
