/** Whether traffic may be sent here, and if not, why. */

import { whyNotUsable } from '../net/mtls/tls-material.ts';
import type { ProxyView } from './proxy-view.ts';

export interface Readiness {
  readonly isReady: boolean;
  readonly reasons: readonly string[];
}

export function readiness(view: ProxyView): Readiness {
  const reasons: string[] = [];
  if (view.isDraining()) reasons.push('the proxy is shutting down');
  const tlsFault = view.needsTls() ? whyNotUsable(view.material(), view.nowMs()) : undefined;
  if (tlsFault !== undefined) reasons.push(tlsFault);
  return { isReady: reasons.length === 0, reasons };
}
