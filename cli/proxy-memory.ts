/** The memory of a process of the proxy: out of core dumps, and given back when the proxy asks. */

import { createCollector, type Logger } from '../core/index.ts';
import { restrainMemory } from '../rpc/index.ts';

/** To be called first. Answers the proxy's `giveBack`. */
export function proxyMemory(log: Logger): () => void {
  const trim = restrainMemory(log);
  const collector = createCollector();
  return () => {
    collector.giveBack();
    trim();
  };
}
