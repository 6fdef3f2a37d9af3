/** SDS clients as operators see them: who they are, what they made of what they were sent, what they would get. */

import { readlink } from 'node:fs/promises';
import type { OfferedView, SdsClientsView, SdsClientView } from '../../api/index.ts';
import { systemErrorCode, toHex } from '../../core/index.ts';
import { keyIdOfSpki } from '../../pki/index.ts';
import type { SdsClient } from '../../sds-server/index.ts';
import type { CallerIdentities } from '../workload/caller-identities.ts';
import type { AgentSources } from './agent-sources.ts';
import type { KnownCaller } from './known-callers.ts';
import { timeText } from './status-view.ts';

type ViewSources = Pick<AgentSources, 'callers' | 'sds' | 'svids'>;

export async function sdsClients(sources: ViewSources): Promise<SdsClientsView> {
  const all = sources.sds.clients.snapshot();
  const clients: SdsClientView[] = [];
  // One after another: a thousand reads at once would keep the workloads waiting.
  for (const client of all.slice(0, clientsMax)) clients.push(await clientView(client, sources));
  return { total: all.length, clients };
}

export async function clientView(client: SdsClient, sources: ViewSources): Promise<SdsClientView> {
  const known = sources.callers.of(client.connection);
  const identities = known?.identities.current();
  const executable = await executableOf(client, known);
  const { peer } = client;
  return {
    streamId: client.streamId,
    connection: client.connection,
    ...(peer.kind === 'process' ? { pid: peer.pid, uid: peer.uid } : {}),
    ...(executable === undefined ? {} : { executable }),
    spiffeIds: spiffeIdsOf(client, identities),
    secrets: client.names.map(({ name, version, state, error, sinceMs }) => ({
      name,
      version,
      state,
      ...(error === undefined ? {} : { error }),
      since: timeText(sinceMs),
    })),
    waiting: [...client.waiting],
    ...(identities?.kind === 'known' ? { offered: offeredView(identities, sources) } : {}),
  };
}

function spiffeIdsOf({ peer }: SdsClient, identities: CallerIdentities | undefined): string[] {
  if (peer.kind === 'tls') return peer.spiffeId === undefined ? [] : [peer.spiffeId];
  return identities?.kind === 'known'
    ? identities.identities.map(({ entry }) => entry.spiffeId)
    : [];
}

/** For a person to know it by: nothing is decided by it. */
async function executableOf(
  { peer }: SdsClient,
  known: KnownCaller | undefined,
): Promise<string | undefined> {
  if (peer.kind !== 'process' || known?.caller.kind !== 'unix') return undefined;
  try {
    const path = await readlink(`/proc/${peer.pid}/exe`);
    // Asked after the read: then the number was its own all along.
    return known.caller.process?.alive() === false ? undefined : path;
  } catch (error) {
    if (hiddenCodes.has(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
}

function offeredView(
  { identities, bundles, crls }: Extract<CallerIdentities, { readonly kind: 'known' }>,
  { svids }: ViewSources,
): OfferedView {
  return {
    svids: identities.map(({ entry, svid }, index) => {
      const held = svids.current().get(entry.id);
      return {
        spiffeId: entry.spiffeId,
        isDefault: index === 0,
        ...(svid === undefined || held === undefined
          ? {}
          : {
              serial: svid.chain[0]?.serial ?? '',
              notAfter: timeText(held.notAfterMs),
              rootKeyId: held.rootKeyId,
            }),
      };
    }),
    bundles: [...bundles.values()].map(({ trustDomain, x509Authorities }) => ({
      trustDomain,
      rootKeyIds: x509Authorities.map(({ spki }) => toHex(keyIdOfSpki(spki))),
      crls: crls.length,
    })),
  };
}

const hiddenCodes: ReadonlySet<string> = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);
// Twice as many as one agent is made for.
const clientsMax = 10_000;
