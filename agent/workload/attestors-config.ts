/** The section `workloadAttestors` of the agent's configuration: which attestors run beside `unix`. */

import { z } from 'zod';
import { durationField } from '../../core/index.ts';

/** `unix` always runs; each of the others only if it is named. */
export interface WorkloadAttestorsConfig {
  readonly k8s?: K8sAttestorConfig | undefined;
  readonly docker?: DockerAttestorConfig | undefined;
  readonly systemd?: Record<string, never> | undefined;
  /** Reads `mountinfo` for a process at the root of its cgroup namespace. */
  readonly useMountinfo: boolean;
}

export interface K8sAttestorConfig {
  readonly from:
    | { readonly kind: 'kubelet'; readonly url: string }
    | { readonly kind: 'api_server'; readonly url: string };
  readonly node: { readonly name: string } | { readonly environment: string };
  /** Undefined asks without one. */
  readonly tokenFile: string | undefined;
  readonly caFile: string | undefined;
  readonly serverName: string | undefined;
  readonly insecureSkipVerify: boolean;
  readonly podWaitMs: number;
}

export interface DockerAttestorConfig {
  readonly socket: string;
  readonly env: readonly string[];
}

const pathField = z.string().min(1);
const urlField = z.string().superRefine((text, context) => {
  if (!URL.canParse(text) || new URL(text).protocol !== 'https:') {
    context.addIssue({ code: 'custom', message: `${JSON.stringify(text)} is not an https URL` });
  }
});

const k8sField = z
  .strictObject({
    kubelet: urlField.optional(),
    apiServer: urlField.optional(),
    nodeName: z.string().min(1).optional(),
    nodeNameEnv: z.string().min(1).optional(),
    tokenFile: pathField.default('/var/run/secrets/kubernetes.io/serviceaccount/token'),
    caFile: pathField.optional(),
    serverName: z.string().min(1).optional(),
    insecureSkipVerify: z.boolean().default(false),
    podWait: durationField.default(30_000),
  })
  .transform((given, context): K8sAttestorConfig => {
    const fault = (message: string): never => {
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    };
    const { kubelet, apiServer, nodeName, nodeNameEnv, caFile, insecureSkipVerify } = given;
    if (kubelet !== undefined && apiServer !== undefined) {
      return fault('give either kubelet or apiServer: where pods are learnt');
    }
    const url = kubelet ?? apiServer;
    if (url === undefined) return fault('give kubelet or apiServer: where pods are learnt');
    // No silent third way: the server is known by a CA, or by the operator's own word.
    if ((caFile === undefined) !== insecureSkipVerify) {
      return fault('give either caFile or insecureSkipVerify: how the server is known');
    }
    if (nodeName !== undefined && nodeNameEnv !== undefined) {
      return fault('give either nodeName or nodeNameEnv');
    }
    return {
      from: { kind: kubelet === undefined ? 'api_server' : 'kubelet', url },
      node:
        nodeName === undefined ? { environment: nodeNameEnv ?? 'NODE_NAME' } : { name: nodeName },
      tokenFile: given.tokenFile,
      caFile,
      serverName: given.serverName,
      insecureSkipVerify,
      podWaitMs: given.podWait,
    };
  });

const dockerField = z.strictObject({
  socket: pathField.default('/var/run/docker.sock'),
  env: z.array(z.string().regex(/^[^=\0]+$/, 'is not the name of a variable')).default([]),
});

export const workloadAttestorsField = z
  .strictObject({
    k8s: k8sField.optional(),
    docker: dockerField.optional(),
    systemd: z.strictObject({}).optional(),
    useMountinfo: z.boolean().default(false),
  })
  .default({ useMountinfo: false });
