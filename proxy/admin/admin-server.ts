/** The admin port: what the proxy is doing, in JSON and for Prometheus. Nothing here changes anything. */

import type { Address } from '../net/address.ts';
import { type AdminAnswer, type AdminServer, listenAdmin } from './admin-listener.ts';
import { certificatesView } from './certificates-view.ts';
import { prometheusText } from './prometheus-text.ts';
import type { ProxyView } from './proxy-view.ts';
import { readiness } from './readiness.ts';

/** Throws rpc's ListenError. */
export function startAdmin(address: Address, view: ProxyView): Promise<AdminServer> {
  return listenAdmin(address, (url) => answerOf(url, view));
}

function answerOf(url: URL, view: ProxyView): AdminAnswer | undefined {
  switch (url.pathname) {
    case '/stats': {
      const isText = url.searchParams.get('format') === 'prometheus';
      return { status: 200, body: isText ? prometheusText(view.stats()) : view.stats() };
    }
    case '/metrics':
      return { status: 200, body: prometheusText(view.stats()) };
    case '/certs':
      return { status: 200, body: certificatesView(view.material(), view.nowMs()) };
    case '/listeners':
      return { status: 200, body: { listeners: view.listeners() } };
    case '/livez':
      return { status: 200, body: { status: 'alive' } };
    case '/readyz': {
      const answered = readiness(view);
      return { status: answered.isReady ? 200 : 503, body: answered };
    }
    default:
      return undefined;
  }
}
