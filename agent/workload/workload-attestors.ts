/** The attestors that the configuration names, made. */

import type { Clock, Logger, Random, Scope } from '../../core/index.ts';
import { AgentError } from '../agent-error.ts';
import type { K8sAttestorConfig, WorkloadAttestorsConfig } from './attestors-config.ts';
import { createDockerAttestor } from './docker-attestor.ts';
import type { HttpTarget } from './http-source.ts';
import { createApiServerPods } from './k8s/api-server-pods.ts';
import { createK8sAttestor } from './k8s/k8s-attestor.ts';
import { createKubeletPods } from './k8s/kubelet-pods.ts';
import type { PodSource } from './k8s/pod-source.ts';
import { createSystemdAttestor } from './systemd-attestor.ts';
import { createUnixAttestor } from './unix-attestor.ts';
import type { WorkloadAttestor } from './workload-attestor.ts';

export interface WorkloadAttestorsDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** What they hold open is closed with `scope`. Throws {@link AgentError} if the node's name is needed and not given. */
export function createWorkloadAttestors(
  config: WorkloadAttestorsConfig,
  deps: WorkloadAttestorsDeps,
  scope: Scope,
): readonly WorkloadAttestor[] {
  const { k8s, docker, systemd, useMountinfo } = config;
  const attestors = [createUnixAttestor({ log: deps.log })];
  if (k8s !== undefined) {
    const pods = scope.add(podSourceOf(k8s, deps));
    const { podWaitMs } = k8s;
    attestors.push(createK8sAttestor({ pods, clock: deps.clock, podWaitMs, useMountinfo }));
  }
  if (docker !== undefined) attestors.push(createDockerAttestor({ ...docker, useMountinfo }));
  if (systemd !== undefined) attestors.push(createSystemdAttestor());
  return attestors;
}

function podSourceOf(config: K8sAttestorConfig, deps: WorkloadAttestorsDeps): PodSource {
  const { clock, random, log } = deps;
  const url = new URL(config.from.url);
  const target: HttpTarget = {
    kind: 'url',
    url,
    tokenFile: config.tokenFile,
    caFile: config.caFile,
    serverName: config.serverName,
    insecure: config.insecureSkipVerify,
  };
  if (config.insecureSkipVerify) {
    log.warn('INSECURE: pods are learnt from a server that nobody has verified', {
      server: url.origin,
      remedy: 'set workloadAttestors.k8s.caFile',
    });
  }
  if (config.from.kind === 'kubelet') return createKubeletPods({ target, clock, log });
  const nodeName = nodeNameOf(config, deps.environment);
  return createApiServerPods({ target, nodeName, clock, random, log });
}

function nodeNameOf(
  { node }: K8sAttestorConfig,
  environment: WorkloadAttestorsDeps['environment'],
): string {
  if ('name' in node) return node.name;
  const name = environment[node.environment] ?? '';
  if (name !== '') return name;
  throw new AgentError(
    'node_name_missing',
    'failed_precondition',
    `the environment variable ${node.environment} does not name this node`,
    { remedy: 'set it from spec.nodeName, or set workloadAttestors.k8s.nodeName' },
  );
}
