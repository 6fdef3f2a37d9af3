/** The Envoy that `test/interop/install-peers.sh` puts into `.venv`, out of its PyPI wheel. */

import { globSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The path that its process will have, or undefined. */
export function findEnvoy(): string | undefined {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const [path] = globSync(`${root}.venv/lib/python3*/site-packages/envoy/_bin/envoy`);
  return path === undefined ? undefined : realpathSync(path);
}
