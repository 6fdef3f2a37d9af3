import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import { utf8Bytes } from '../../core/index.ts';
import {
  dataKey,
  dataRange,
  decodeEvents,
  decodeItem,
  decodeNumber,
  encodeEvents,
  encodeItem,
  encodeNumber,
  eventKey,
} from './level-layout.ts';
import type { StoreEvent } from './store.ts';

const key = fc.stringMatching(/^[!-~]{1,20}$/);
const value = fc.uint8Array({ maxLength: 50 });
const revision = fc.nat({ max: 2 ** 40 });

describe('layout inside level', () => {
  property.prop([key, value, revision, revision])('an item', (name, bytes, create, mod) => {
    const version = { createRevision: create, modRevision: mod };
    const encoded = encodeItem(bytes, version);
    expect(decodeItem(dataKey(name), encoded)).toEqual({ key: name, value: bytes, ...version });
  });

  property.prop([revision, fc.array(fc.tuple(key, fc.option(value), revision))])(
    'the events of a revision',
    (at, changes) => {
      const events = changes.map(
        ([name, bytes, create]): StoreEvent =>
          bytes === null
            ? { kind: 'delete', key: name, revision: at }
            : { kind: 'put', key: name, value: bytes, createRevision: create, revision: at },
      );
      expect(decodeEvents(eventKey(at), encodeEvents(events))).toEqual(events);
    },
  );

  property.prop([fc.uint8Array()])('no bytes upset the decoders', (bytes) => {
    for (const decode of [decodeItem, decodeEvents, decodeNumber]) {
      try {
        decode('d/key', bytes);
      } catch (error) {
        expect(error).toMatchObject({ code: 'store_corrupt', kind: 'data_loss' });
      }
    }
  });

  property.prop([fc.array(key), key, key])(
    'a range holds a prefix and nothing else',
    (keys, prefix, after) => {
      const { gt, lt } = dataRange(prefix, after);
      for (const name of [...keys, prefix, after, `${prefix}${after}`]) {
        const isWithin = dataKey(name) > gt && dataKey(name) < lt;
        const isLonger = name.startsWith(prefix) && name !== prefix;
        if (name !== prefix) expect(isWithin).toBe(isLonger && name > after);
      }
    },
  );

  test('numbers', () => {
    expect(decodeNumber('m/x', encodeNumber(2 ** 53 - 1))).toBe(2 ** 53 - 1);
    for (const text of ['', '-1', '1.5', '1e3', ' 1', '9'.repeat(17)]) {
      expect(() => decodeNumber('m/x', utf8Bytes(text))).toThrow('m/x');
    }
  });

  test.for(['{}', '[1]', '[[1]]', '[["k",1]]', '[["k","1","AA=="]]', '[["k",1,"?"]]'])(
    'events of another shape are damage: %s',
    (text) => {
      expect(() => decodeEvents(eventKey(1), utf8Bytes(text))).toThrow('damaged');
    },
  );
});
