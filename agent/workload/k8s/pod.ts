/** A pod as the Kubernetes API writes it (core/v1 Pod): only what selectors are made of. */

import { z } from 'zod';

export interface Pod {
  readonly uid: string;
  /** Also known by: the hash of its file, for a static pod that the API shows as a mirror. */
  readonly configHash: string | undefined;
  readonly namespace: string;
  readonly name: string;
  readonly nodeName: string;
  readonly serviceAccount: string;
  readonly labels: readonly (readonly [name: string, value: string])[];
  readonly owners: readonly {
    readonly kind: string;
    readonly name: string;
    readonly uid: string;
  }[];
  readonly containers: readonly PodContainer[];
}

export interface PodContainer {
  readonly name: string;
  /** 64 hex digits. */
  readonly id: string;
  readonly image: string;
  /** Such as `docker.io/library/nginx@sha256:…`; empty if the runtime does not say. */
  readonly imageId: string;
}

/** Undefined for what is no pod. */
export function parsePod(value: unknown): Pod | undefined {
  const parsed = podSchema.safeParse(value);
  if (!parsed.success) return undefined;
  const { metadata, spec, status } = parsed.data;
  const statuses = [
    ...(status.initContainerStatuses ?? []),
    ...(status.containerStatuses ?? []),
    ...(status.ephemeralContainerStatuses ?? []),
  ];
  return {
    uid: metadata.uid,
    configHash:
      metadata.annotations?.['kubernetes.io/config.hash'] ??
      metadata.annotations?.['kubernetes.io/config.mirror'],
    namespace: metadata.namespace,
    name: metadata.name,
    nodeName: spec.nodeName ?? '',
    serviceAccount: spec.serviceAccountName ?? '',
    labels: Object.entries(metadata.labels ?? {}),
    owners: metadata.ownerReferences ?? [],
    containers: statuses.flatMap(({ name, containerID = '', image = '', imageID = '' }) => {
      // `containerd://<id>`; empty until the container has started.
      const id = /:\/\/([0-9a-f]{64})$/.exec(containerID)?.[1];
      return id === undefined ? [] : [{ name, id, image, imageId: imageID }];
    }),
  };
}

/** The items of a PodList, or undefined for what is none. One that is not understood is left out. */
export function parsePodList(
  value: unknown,
): { readonly pods: readonly Pod[]; readonly resourceVersion: string } | undefined {
  const parsed = listSchema.safeParse(value);
  if (!parsed.success) return undefined;
  return {
    pods: (parsed.data.items ?? []).flatMap((item) => parsePod(item) ?? []),
    resourceVersion: parsed.data.metadata?.resourceVersion ?? '',
  };
}

/** What the selectors of a container in a pod are (the names are those that SPIRE gave them). */
export function podSelectors(pod: Pod, container: PodContainer): readonly string[] {
  const digests = [container.imageId, container.image].flatMap(
    (text) => /@(sha256:[0-9a-f]{64})$/.exec(text)?.[1] ?? [],
  );
  const images = [container.image, container.imageId].filter((text) => text !== '');
  return [
    ...new Set([
      `ns:${pod.namespace}`,
      `sa:${pod.serviceAccount}`,
      `pod-uid:${pod.uid}`,
      `pod-name:${pod.name}`,
      `node-name:${pod.nodeName}`,
      ...pod.labels.map(([name, value]) => `pod-label:${name}:${value}`),
      ...pod.owners.flatMap(({ kind, name, uid }) => [
        `pod-owner:${kind}:${name}`,
        `pod-owner-uid:${kind}:${uid}`,
      ]),
      `container-name:${container.name}`,
      ...images.map((image) => `container-image:${image}`),
      ...digests.slice(0, 1).map((digest) => `image-digest:${digest}`),
    ]),
  ].map((selector) => `k8s:${selector}`);
}

// The API has many more fields, and gets new ones: these objects are open on purpose.
const statusSchema = z.object({
  name: z.string(),
  containerID: z.string().optional(),
  image: z.string().optional(),
  imageID: z.string().optional(),
});

const podSchema = z.object({
  metadata: z.object({
    uid: z.string().min(1),
    name: z.string().min(1),
    namespace: z.string().min(1),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
    ownerReferences: z
      .array(z.object({ kind: z.string(), name: z.string(), uid: z.string() }))
      .optional(),
  }),
  spec: z.object({ nodeName: z.string().optional(), serviceAccountName: z.string().optional() }),
  status: z.object({
    containerStatuses: z.array(statusSchema).optional(),
    initContainerStatuses: z.array(statusSchema).optional(),
    ephemeralContainerStatuses: z.array(statusSchema).optional(),
  }),
});

const listSchema = z.object({
  kind: z.string().regex(/^(?:Pod)?List$/),
  metadata: z.object({ resourceVersion: z.string().optional() }).optional(),
  items: z.array(z.unknown()).nullish(),
});
