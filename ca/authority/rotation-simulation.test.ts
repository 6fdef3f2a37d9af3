import { expect, test } from 'vitest';
import { endMs, RotationMesh } from '../../test/fakes/rotation-mesh.ts';

// A bound on the time and on the machine; a failure names its seed, which tells the whole story again.
const seeds = Array.from({ length: 40 }, (_, index) => index + 1);

test.for(seeds)('seed %i: nobody honest is stranded, and the rotation ends', (seed) => {
  const mesh = new RotationMesh(seed);
  while (mesh.nowMs < endMs) {
    mesh.tick();
    const wrong = [...mesh.stranded(), ...mesh.broken()];
    if (wrong.length > 0) expect(wrong).toEqual([]);
  }
  const roots = mesh.set.authorities.filter(({ tier }) => tier === 'root');
  expect(roots[0]?.state).toBe('retired');
  expect(roots.filter(({ state }) => state === 'active')).toHaveLength(1);
  expect(mesh.jwtKeys.keys.filter(({ state }) => state === 'active')).toHaveLength(1);
  expect(mesh.jwtKeysBegun).toBeGreaterThan(1);
});

test('the operator is needed, for those who refuse', () => {
  const shutOuts = seeds.map((seed) => {
    const mesh = new RotationMesh(seed);
    while (mesh.nowMs < endMs) mesh.tick();
    return mesh.shutOuts;
  });
  expect(shutOuts.some((count) => count > 0)).toBe(true);
  expect(shutOuts.some((count) => count === 0)).toBe(true);
});

test.for<[string, ConstructorParameters<typeof RotationMesh>[1], RegExp]>([
  ['the evidence somebody', { threshold: 0.01 }, /^spiffe:\S+ refuses spiffe:/],
  ['the word of sidecars one of them', { hears: 'nodes' }, /^a sidecar of \S+ refuses spiffe:/],
  [
    'the word of all nodes a token',
    { threshold: 0.01, jwtKeyMs: 400_000 },
    /^spiffe:\S+ refuses a token/,
  ],
])('without %s would be refused: the simulation can fail', ([, options, refusal]) => {
  const found = seeds.some((seed) => {
    const mesh = new RotationMesh(seed, options);
    let stranded = false;
    while (mesh.nowMs < endMs && !stranded) {
      mesh.tick();
      stranded = mesh.stranded().some((line) => refusal.test(line));
    }
    return stranded;
  });
  expect(found).toBe(true);
});
