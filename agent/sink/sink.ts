/** Keeps files on the disk as fresh as the SVIDs they were made of, and tells the applications that read them. */

import { type Clock, type Closable, type Logger, type Random, Scope } from '../../core/index.ts';
import { writeFileSet } from './file-set.ts';
import { readPasswordFile } from './read-password.ts';
import { runReload } from './reload-command.ts';
import { createRepeater, type Repeater } from './repeater.ts';
import type { SinkConfig, SinkTarget } from './sink-config.ts';
import { type ExportedSvid, svidFiles, type SvidFormat, wipe } from './svid-files.ts';
import { chosenSvid, followSvids, type OwnSvids } from './workload-svids.ts';

export interface SinkDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Runs until it is closed; the files stay. Rejects with SinkError for a password that cannot be read. */
export async function startSvidSink(config: SinkConfig, deps: SinkDeps): Promise<Closable> {
  const scope = new Scope();
  const targets: Target[] = [];
  for (const target of config.sinks) {
    // Read once now, so that a wrong file is told of at the start and not at night.
    await formatOf(target);
    deps.log.warn('PRIVATE KEYS ARE WRITTEN TO A DISK: whoever reads it is that workload', {
      directory: target.directory,
      remedy: 'use the Workload API or SDS where the application can',
    });
    targets.push(startTarget(target, deps, scope));
  }
  scope.add(
    followSvids({
      ...deps,
      socket: config.socket,
      onSvids: (svids) => {
        for (const target of targets) target.offer(svids);
      },
    }),
  );
  return scope;
}

interface Target {
  offer(svids: OwnSvids): void;
}

function startTarget(target: SinkTarget, deps: SinkDeps, scope: Scope): Target {
  let newest: OwnSvids | undefined;
  let written: ExportedSvid | undefined;
  const { reload, directory } = target;
  const log = deps.log.with({ directory });
  const reloads: Repeater | undefined =
    reload === undefined
      ? undefined
      : createRepeater({
          ...deps,
          log,
          what: 'the reload command',
          run: (signal) => runReload(reload, { clock: deps.clock, log }, signal),
        });
  // The writing of new files never waits for the telling of older ones.
  const writes = createRepeater({
    ...deps,
    log,
    what: 'writing an SVID',
    async run() {
      if (newest === undefined) return;
      const svid = chosenSvid(newest, target.spiffeId);
      if (written !== undefined && isSame(svid, written)) return;
      const files = svidFiles(svid, await formatOf(target), deps.random);
      try {
        await writeFileSet(directory, files, deps.random);
      } finally {
        wipe(files);
      }
      written = svid;
      log.info('SVID written', { spiffeId: svid.id, serial: svid.chain[0]?.serial });
      reloads?.request();
    },
  });
  if (reloads !== undefined) scope.add(reloads);
  scope.add(writes);
  return {
    offer(svids) {
      newest = svids;
      writes.request();
    },
  };
}

async function formatOf({ passwordFile }: SinkTarget): Promise<SvidFormat> {
  if (passwordFile === undefined) return { kind: 'pem' };
  return { kind: 'pkcs12', password: await readPasswordFile(passwordFile) };
}

/** The same certificate under the same roots: nothing to write, and nobody to tell. */
function isSame(left: ExportedSvid, right: ExportedSvid): boolean {
  return textOf(left) === textOf(right);
}

function textOf({ chain, roots }: ExportedSvid): string {
  return [...chain, ...roots].map(({ der }) => Buffer.from(der).toString('base64')).join(' ');
}
