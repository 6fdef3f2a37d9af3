/** The room test: imports go down only, and other rooms come in through the door. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { folderRules, keyFiles, packageOwners, rooms } from './rooms.ts';
import {
  importedFile,
  packageOf,
  projectRoot,
  readSourceFiles,
  type SourceFile,
} from './source-files.ts';

const files = readSourceFiles();
const roomNames = new Set(rooms.map((room) => room.name));
const roomOf = (path: string): string | undefined => {
  const name = path.split('/')[0] ?? '';
  return roomNames.has(name) ? name : undefined;
};
// A test may use fakes and stand wherever its subject stands.
const program = files.filter(
  (file) => roomOf(file.path) !== undefined && !file.path.endsWith('.test.ts'),
);

/** Every import between project files, as [from, to]. */
function edges(of: readonly SourceFile[]): (readonly [SourceFile, string])[] {
  return of.flatMap((file) =>
    file.imports.flatMap((specifier) => {
      const target = importedFile(file, specifier);
      return target === undefined ? [] : [[file, target] as const];
    }),
  );
}

test('the sources were found', () => {
  expect(program.length).toBeGreaterThan(20);
  expect(edges(program).length).toBeGreaterThan(50);
});

test.for(rooms)('$name imports only what its line of the table allows', ({ name, mayImport }) => {
  const wrong = edges(program)
    .filter(([file]) => roomOf(file.path) === name)
    .filter(([, target]) => {
      const room = roomOf(target);
      return room !== name && (room === undefined || !mayImport.includes(room));
    })
    .map(([file, target]) => `${file.path} imports ${target}`);
  expect(wrong).toEqual([]);
});

test('another room is entered through its door', () => {
  const wrong = edges(program)
    .filter(([file, target]) => roomOf(target) !== roomOf(file.path))
    .filter(([, target]) => target !== `${roomOf(target) ?? ''}/index.ts`)
    .map(([file, target]) => `${file.path} imports ${target}`);
  expect(wrong).toEqual([]);
});

test.for(folderRules)('$from: $why', ({ from, mayImport }) => {
  const wrong = edges(program)
    .filter(([file]) => file.path.startsWith(`${from}/`))
    .filter(([, target]) => ![from, ...mayImport].some((folder) => target.startsWith(`${folder}/`)))
    .map(([file, target]) => `${file.path} imports ${target}`);
  expect(wrong).toEqual([]);
});

test('what talks to the network reaches no file that holds or opens a key', () => {
  const imported = edges(program);
  for (const file of keyFiles.files) {
    // A rule about a file that is not there, or that nobody uses, would hold of anything.
    expect(
      imported.some(([, target]) => target === file),
      file,
    ).toBe(true);
  }
  const wrong = imported
    .filter(([file]) => keyFiles.outOfReachOf.some((folder) => file.path.startsWith(`${folder}/`)))
    .filter(([, target]) => keyFiles.files.includes(target))
    .map(([file, target]) => `${file.path} imports ${target}`);
  expect(wrong).toEqual([]);
});

test('a package that one room owns is known to no other', () => {
  const wrong = program.flatMap((file) =>
    file.imports
      .filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:'))
      .filter((specifier) => {
        const owners = packageOwners.get(packageOf(specifier));
        return owners !== undefined && !owners.includes(roomOf(file.path) ?? '');
      })
      .map((specifier) => `${file.path} imports ${specifier}`),
  );
  expect(wrong.filter((line) => !line.startsWith('bench/'))).toEqual([]);
});

test('every room has one door, which names what it exports one by one', () => {
  for (const room of rooms) {
    const door = join(projectRoot, room.name, 'index.ts');
    if (room.name === 'cli' || room.name === 'bench') continue;
    expect(existsSync(door), `${room.name}/index.ts`).toBe(true);
    expect(readFileSync(door, 'utf8'), `${room.name}/index.ts`).not.toMatch(/export \*/);
  }
});

test('ARCHITECTURE.md draws the same table', () => {
  const text = readFileSync(join(projectRoot, 'ARCHITECTURE.md'), 'utf8');
  for (const room of rooms) {
    const row = new RegExp(`^\\| \`${room.name}/\` \\|.*\\| ([^|]*) \\|$`, 'm').exec(text);
    expect(row, `a row for ${room.name}/`).not.toBeNull();
    const stated = (row?.[1] ?? '').trim();
    expect(stated, room.name).toBe(
      room.mayImport.length === 0 ? 'nothing' : room.mayImport.join(', '),
    );
  }
});
