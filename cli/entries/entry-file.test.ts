import { test as property, fc } from '@fast-check/vitest';
import { expect, test } from 'vitest';
import { EntryFileError, parseEntryFile } from './entry-file.ts';

const entry = {
  spiffeId: 'spiffe://mesh.test/web',
  parentId: 'spiffe://mesh.test/n',
  selectors: ['unix:uid:1'],
};
const line = JSON.stringify(entry);

test('each entry is found with its line', () => {
  expect(parseEntryFile(`${line}\n\n${line}\n`, 'e.jsonl')).toEqual([
    { line: 1, entry },
    { line: 3, entry },
  ]);
  const yaml = `# all\nentries:\n  - spiffeId: ${entry.spiffeId}\n    parentId: ${entry.parentId}\n    selectors: ["unix:uid:1"]\n\n  - ${line}\n`;
  expect(parseEntryFile(yaml, 'e.yaml')).toEqual([
    { line: 3, entry },
    { line: 7, entry },
  ]);
  expect(parseEntryFile(JSON.stringify([entry]), 'e.json')).toEqual([{ line: 1, entry }]);
  expect(parseEntryFile('entries: []', 'e.yaml')).toEqual([]);
});

test.for([
  ['e.jsonl', `${line}\n{`, 'e.jsonl:2: '],
  ['e.jsonl', `${line}\n{"spiffeId":1}`, 'e.jsonl:2: spiffeId: '],
  ['e.yaml', `- ${line}\n- colour: red`, 'e.yaml:2: '],
  ['e.yaml', 'a: [', 'e.yaml:1: '],
  ['e.yaml', 'a: b', 'neither a list of entries'],
  ['e.yaml', '', 'neither a list of entries'],
] as const)('a fault in %s is named with its line', ([name, text, expected]) => {
  expect(() => parseEntryFile(text, name)).toThrow(
    expect.objectContaining({ message: expect.stringContaining(expected) }) as Error,
  );
});

test('all faults of the file are told at once', () => {
  const text = '{"a":1}\n{"b":1}\n';
  expect(() => parseEntryFile(text, 'e.jsonl')).toThrow(/e\.jsonl:1: .*e\.jsonl:2: /s);
});

property.prop([fc.string(), fc.constantFrom('e.yaml', 'e.jsonl')])(
  'any text is entries or refused',
  (text, name) => {
    try {
      parseEntryFile(text, name);
    } catch (error) {
      expect(error).toBeInstanceOf(EntryFileError);
    }
  },
);
