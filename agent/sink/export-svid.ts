/** Writes this process's SVID once, for an application that reads files and nothing else. */

import type { Random } from '../../core/index.ts';
import { writeFileSet, writeOneFile } from './file-set.ts';
import { type ExportedSvid, svidFiles, type SvidFormat, wipe } from './svid-files.ts';
import { chosenSvid, ownSvids } from './workload-svids.ts';

/** To a directory for PEM, to one file for PKCS#12. Throws SinkError, KeystoreError or RpcError; nothing is half written. */
export async function exportSvid(p: {
  readonly socket: string;
  readonly spiffeId: string | undefined;
  readonly format: SvidFormat;
  readonly out: string;
  readonly random: Random;
  readonly signal: AbortSignal;
}): Promise<ExportedSvid> {
  for await (const svids of ownSvids(p.socket, p.signal)) {
    const svid = chosenSvid(svids, p.spiffeId);
    const files = svidFiles(svid, p.format, p.random);
    try {
      const [only] = files;
      if (p.format.kind === 'pkcs12' && only !== undefined) await writeOneFile(p.out, only);
      else await writeFileSet(p.out, files, p.random);
    } finally {
      wipe(files);
    }
    return svid;
  }
  return chosenSvid([], p.spiffeId);
}
