import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import vectors from '../../test/vectors/c2sp/signed-note.json' with { type: 'json' };
import { openCheckpoint, signCheckpoint } from './checkpoint.ts';
import { rootHashOf, emptyTree } from './merkle.ts';
import {
  formatVerifierKey,
  isNoteName,
  openNote,
  parseVerifierKey,
  signNote,
} from './signed-note.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const origin = 'mesh.test/signet/audit';
const verifier = { name: origin, publicKey };

describe('signed note', () => {
  test.for(vectors)('vector: $name', ({ input, expected }) => {
    const key = parseVerifierKey(input.verifierKey);
    if (key === undefined) {
      expect(expected.refused).toBe('verifier_key');
      return;
    }
    expect(formatVerifierKey(key)).toBe(input.verifierKey);
    expect(openNote(input.note, key)).toEqual(
      expected.text === undefined
        ? { kind: 'refused', code: expected.refused }
        : { kind: 'signed', text: expected.text },
    );
  });

  property.prop([fc.array(fc.string({ unit: 'grapheme' }).filter((line) => !line.includes('\n')))])(
    'what was signed opens again',
    (lines) => {
      const text = `first\n${lines.map((line) => `${line}\n`).join('')}`;
      expect(openNote(signNote(text, origin, privateKey), verifier)).toEqual({
        kind: 'signed',
        text,
      });
    },
  );

  property.prop([fc.string(), fc.string()])('no text upsets the parsers', (note, key) => {
    expect(openNote(note, verifier).kind).toBe('refused');
    expect(parseVerifierKey(key)).toBeUndefined();
  });

  test.for(['', 'a b', 'a+b', 'a\nb', 'a\u00a0b'])('%j is no name for a key', (name) => {
    expect(isNoteName(name)).toBe(false);
  });

  test('only an Ed25519 key signs', () => {
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    expect(() => signNote('x\n', origin, other.privateKey)).toThrow(TypeError);
  });
});

describe('checkpoint', () => {
  const checkpoint = { origin, size: 7, rootHash: rootHashOf(emptyTree) };

  test('has the form of a transparency log', () => {
    const lines = signCheckpoint(checkpoint, fixedKey()).split('\n');
    expect(lines.slice(0, 4)).toEqual([
      'mesh.test/signet/audit',
      '7',
      '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
      '',
    ]);
    expect(lines[4]).toMatch(/^— mesh\.test\/signet\/audit [A-Za-z0-9+/]{91}=$/);
    expect(lines.slice(5)).toEqual(['']);
  });

  test('opens again, and with extension lines too', () => {
    const note = signCheckpoint(checkpoint, privateKey);
    expect(openCheckpoint(note, verifier)).toEqual({ kind: 'signed', checkpoint });
    const [text = ''] = note.split('\n\n');
    const extended = signNote(`${text}\nextension\n`, origin, privateKey);
    expect(openCheckpoint(extended, verifier)).toEqual({ kind: 'signed', checkpoint });
  });

  test.for([
    { name: 'another log', text: 'other.test\n7\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n' },
    { name: 'no size', text: `${origin}\n\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n` },
    {
      name: 'a leading zero',
      text: `${origin}\n07\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n`,
    },
    { name: 'a short root', text: `${origin}\n7\n47DEQpj8\n` },
    { name: 'no root', text: `${origin}\n7\n` },
  ])('refuses a signed text that is not a checkpoint of this log: $name', ({ text }) => {
    expect(openCheckpoint(signNote(text, origin, privateKey), verifier)).toEqual({
      kind: 'refused',
      code: 'checkpoint_malformed',
    });
  });

  test('refuses one by another key of the same name', () => {
    const note = signCheckpoint(checkpoint, fixedKey());
    expect(openCheckpoint(note, verifier)).toEqual({ kind: 'refused', code: 'note_unsigned' });
    const own = { name: origin, publicKey: createPublicKey(fixedKey()) };
    expect(openCheckpoint(note, own).kind).toBe('signed');
  });
});

function fixedKey() {
  const seed = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
  // RFC 8410 §7: the fixed head of an Ed25519 key in PKCS#8.
  const head = Buffer.from('302e020100300506032b657004220420', 'hex');
  return createPrivateKey({ key: Buffer.concat([head, seed]), format: 'der', type: 'pkcs8' });
}
