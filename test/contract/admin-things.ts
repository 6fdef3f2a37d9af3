/** Things that are there to be asked for, so that calls of the admin API go further than to a 404. */

import { parseTrustDomain } from '../../spiffe/index.ts';
import { makeTestPki } from '../fakes/test-pki.ts';
import type { CaFixture } from '../system/ca-fixture.ts';

export interface Thing {
  /** The parameters of its path, by their names. */
  readonly values: Readonly<Record<string, string>>;
  /** What it may be replaced by. */
  readonly body?: object;
}

export class AdminThings {
  readonly #mesh: CaFixture;
  #made = 0;

  constructor(mesh: CaFixture) {
    this.#mesh = mesh;
  }

  /** Several of what the path names, made anew: a call may well delete the one that it is about. None for other paths. */
  async of(path: string): Promise<readonly Thing[]> {
    const [, make] = this.#makers.find(([prefix]) => path.startsWith(prefix)) ?? [];
    if (make === undefined) return [];
    const things: Thing[] = [];
    for (let count = 0; count < severalOf; count += 1) things.push(await make(this.#next()));
    return things;
  }

  #next(): string {
    this.#made += 1;
    return `there-${this.#made}`;
  }

  readonly #makers: readonly (readonly [string, (name: string) => Promise<Thing>])[] = [
    [
      '/v1/entries/{id}',
      async (name) => {
        const body = {
          spiffeId: `spiffe://mesh.test/${name}`,
          parentId: 'spiffe://mesh.test/node-1',
          selectors: ['unix:uid:1000'],
        };
        const { id } = await this.#mesh.admin.createEntry(body);
        return { values: { id }, body: { ...body, hint: 'changed' } };
      },
    ],
    [
      '/v1/rules/{id}',
      async (name) => {
        const template = `spiffe://{td}/${name}/{x509pop.cn}`;
        const { id } = await this.#mesh.admin.createRule({ template, selectors: ['a:b'] });
        return { values: { id } };
      },
    ],
    [
      '/v1/tokens/{id}',
      async () => ({ values: { id: (await this.#mesh.admin.createToken({})).id } }),
    ],
    [
      '/v1/nodes/{attestor}/{name}',
      async () => {
        const node = await this.#mesh.join();
        node.close();
        const [attestor = '', name = ''] = node.spiffeId.split('/').slice(-2);
        return { values: { attestor, name } };
      },
    ],
    [
      '/v1/secrets/{name}',
      async (name) => {
        const value = { '': Buffer.from('value').toString('base64') };
        const body = { values: value, allow: ['spiffe://mesh.test/web'] };
        await this.#mesh.admin.putSecret(name, body);
        return { values: { name }, body };
      },
    ],
    [
      '/v1/federated-bundles/{trustDomain}',
      async (name) => {
        const trustDomain = parseTrustDomain(`${name}.test`);
        const { anchorsPem: document } = await makeTestPki({ nowMs: Date.now(), trustDomain });
        await this.#mesh.admin.setFederatedBundle(trustDomain, document);
        return { values: { trustDomain }, body: { document } };
      },
    ],
    [
      '/v1/authorities/{id}',
      async () => {
        const { authorities } = await this.#mesh.admin.listAuthorities();
        return { values: { id: authorities[this.#made % authorities.length]?.id ?? '' } };
      },
    ],
  ];
}

const severalOf = 4;
