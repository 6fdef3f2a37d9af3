/** What may stand at the beginning of an accepted connection: a PROXY header, then TLS or something else. */

import { Buffer } from 'node:buffer';
import type { FirstBytesStage, StageAnswer } from './first-bytes.ts';
import type { ClientHello } from './inspector/client-hello.ts';
import { TlsInspector } from './inspector/tls-inspector.ts';
import { decodeProxyHeader } from './proxy-protocol/decode-proxy-header.ts';
import type { ProxyHeader } from './proxy-protocol/proxy-header.ts';

/** Takes a PROXY header away and tells of it. */
export function proxyHeaderStage(onHeader: (header: ProxyHeader) => void): FirstBytesStage {
  let bytes: Buffer = Buffer.alloc(0);
  return {
    read(added): StageAnswer {
      bytes = bytes.length === 0 ? added : Buffer.concat([bytes, added]);
      const decoded = decodeProxyHeader(bytes);
      if (decoded.kind === 'need_more') return decoded;
      if (decoded.kind === 'bad') return refused(`its PROXY header is bad: ${decoded.detail}`);
      onHeader(decoded.header);
      return { kind: 'done', consumed: decoded.length };
    },
  };
}

/**
 * Looks whether TLS begins, and tells the whole hello, or undefined if something else begins; nothing for as long
 * as `silenceMsMax` says, asked once the stage begins, is something else.
 */
export function inspectorStage(
  onHello: (hello: ClientHello | undefined) => void,
  silenceMsMax: () => number | undefined,
): FirstBytesStage {
  const inspector = new TlsInspector();
  return {
    silenceMsMax,
    onSilence: () => onHello(undefined),
    read(added): StageAnswer {
      const inspection = inspector.push(added);
      switch (inspection.kind) {
        case 'need_more':
          return inspection;
        case 'bad':
          return refused(`its ClientHello is bad: ${inspection.detail}`);
        case 'not_tls':
          onHello(undefined);
          break;
        case 'client_hello':
          onHello(inspection.hello);
      }
      return { kind: 'done', consumed: 0 };
    },
  };
}

function refused(detail: string): StageAnswer {
  return { kind: 'refused', detail };
}
