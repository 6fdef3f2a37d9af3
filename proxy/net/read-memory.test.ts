import { expect, test } from 'vitest';
import { createYoungCollector } from '../../core/index.ts';
import { ReadMemory } from './read-memory.ts';

const mebibyte = 1024 * 1024;

test('the young are collected each 4 MiB that were read, in pieces of whatever size', () => {
  let collections = 0;
  const reads = new ReadMemory(() => {
    collections += 1;
  });
  for (let read = 0; read < 3; read += 1) reads.add(mebibyte);
  expect(collections).toBe(0);
  reads.add(mebibyte);
  expect(collections).toBe(1);
  reads.add(4 * mebibyte - 1);
  expect(collections).toBe(1);
  reads.add(1);
  expect(collections).toBe(2);
});

test('a collection of the young frees the buffers of reads that nobody keeps', () => {
  const before = process.memoryUsage().arrayBuffers;
  const young = createYoungCollector();
  const reads = new ReadMemory(young);
  for (let read = 0; read < 640; read += 1) {
    reads.add(new ArrayBuffer(64 * 1024).byteLength);
  }
  // Of 40 MiB no more than one round is there, and some that the sweeper has not come to.
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 * mebibyte);
});
