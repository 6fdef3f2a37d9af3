/** The project's own TypeScript, read once: paths, text, and what each file imports. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { parseSync } from 'oxc-parser';

export interface SourceFile {
  /** Relative to the project's root, with `/`. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
  readonly exportsDefault: boolean;
}

export const projectRoot = resolve(import.meta.dirname, '../..');

export function readSourceFiles(): readonly SourceFile[] {
  return walk(projectRoot)
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readSourceFile(path));
}

/** The file an import names, relative to the root, or undefined for a package. */
export function importedFile(from: SourceFile, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  return relative(projectRoot, resolve(projectRoot, dirname(from.path), specifier));
}

export function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '');
}

function readSourceFile(path: string): SourceFile {
  const text = readFileSync(path, 'utf8');
  const { module } = parseSync(path, text);
  const imports = [
    ...module.staticImports.map((entry) => entry.moduleRequest.value),
    ...module.staticExports.flatMap((entry) =>
      entry.entries.flatMap((item) =>
        item.moduleRequest === null ? [] : [item.moduleRequest.value],
      ),
    ),
    ...module.dynamicImports.flatMap((entry) => {
      const literal = /^['"](.+)['"]$/.exec(
        text.slice(entry.moduleRequest.start, entry.moduleRequest.end),
      );
      return literal?.[1] === undefined ? [] : [literal[1]];
    }),
  ];
  const exportsDefault = module.staticExports.some((entry) =>
    entry.entries.some((item) => item.exportName.kind === 'Default'),
  );
  return {
    path: relative(projectRoot, path),
    text,
    imports: [...new Set(imports)],
    exportsDefault,
  };
}

function walk(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith('.') || ignored.has(entry.name)) return [];
    const path = join(directory, entry.name);
    return entry.isDirectory() ? walk(path) : [path];
  });
}

const ignored = new Set(['node_modules', 'dist', 'coverage']);
