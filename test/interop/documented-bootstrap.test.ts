/** The Envoy configuration of docs/sds.md, started as it stands but for its addresses: two of them, calling each other. */

import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { z } from 'zod';
import { freePorts } from '../../core/index.ts';
import { sourceRoot } from '../../cli/demo/child.ts';
import { type ControlPlane, failIfEnded, startControlPlane } from '../../cli/demo/control-plane.ts';
import { answerOf } from '../../cli/demo/talk.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { changed, documentedEnvoy, type PagePorts } from './documented-envoy.ts';
import { findEnvoy, testWith } from './peers.ts';

describe('the Envoy of docs/sds.md', () => {
  const directory = mkdtempSync(join(tmpdir(), 'signet-envoy-page-'));
  let controlPlane: ControlPlane;

  beforeAll(async () => {
    if (findEnvoy() !== undefined) controlPlane = await startControlPlane(directory, () => {});
  });
  afterAll(async () => {
    await controlPlane?.stop();
    rmSync(directory, { recursive: true });
  });

  testWith(
    findEnvoy(),
    'Envoy',
    'gets its secrets, calls its peer and is called',
    async (envoy) => {
      const [webAdmin = 0, web = 0, webOut = 0] = await freePorts(3);
      const [ordersAdmin = 0, orders = 0, ordersOut = 0] = await freePorts(3);
      const script = join(sourceRoot, 'cli/demo/plain-service.ts');
      const service = controlPlane.start({ name: 'app', script, args: ['app'], talks: true });
      const { port: app } = await answerOf(service, z.object({ port: z.number() }));

      const start = async (name: string, peer: string, ports: PagePorts) => {
        // One machine, one user: two programs are told apart by their paths.
        const executable = join(directory, `envoy-${name}`);
        copyFileSync(envoy, executable);
        await controlPlane.admin.createEntry({
          spiffeId: `spiffe://mesh.test/${name}`,
          parentId: controlPlane.nodeId,
          selectors: [`unix:path:${executable}`],
        });
        const path = join(directory, `${name}.yaml`);
        const page = documentedEnvoy(peer, ports);
        writeFileSync(path, changed(page, [['/run/signet/agent.sock', controlPlane.agentSocket]]));
        const args = [
          path,
          '--concurrency',
          '1',
          '--disable-hot-restart',
          '--log-level',
          'warning',
        ];
        return controlPlane.start({ name, executable, script: '--config-path', args });
      };
      const started = [
        await start('web', 'orders', { admin: webAdmin, in: web, out: webOut, peer: orders, app }),
        await start('orders', 'nobody', {
          admin: ordersAdmin,
          in: orders,
          out: ordersOut,
          peer: web,
          app,
        }),
      ];

      const ask = async (port: number) => {
        const answer = await fetch(`http://127.0.0.1:${port}/`, {
          headers: { connection: 'close' },
        }).catch(() => undefined);
        await answer?.arrayBuffer();
        return answer?.status;
      };
      await waitFor('web reaching orders', 30_000, async () => {
        for (const child of started) failIfEnded(child);
        return (await ask(webOut)) === 200 ? true : undefined;
      });
      // The page names whom it wants to meet; one that wants another refuses the same peer.
      expect(await ask(ordersOut)).toBeUndefined();
      expect(await ask(webOut)).toBe(200);
      const stats = await (await fetch(`http://127.0.0.1:${webAdmin}/stats`)).text();
      expect(stats).toMatch(/^sds\.default\.update_success: [1-9]/m);
      expect(stats).toMatch(/^sds\.ALL\.update_rejected: 0$/m);
    },
  );
});
