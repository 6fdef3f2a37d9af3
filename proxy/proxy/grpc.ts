/** What a proxy must know of gRPC: how long a call may take, and how an answer of our own is worded. */

import type { ErrorKind } from '../../core/index.ts';
import { grpcStatusOf, grpcStatusOfReset } from '../../rpc/index.ts';
import type { Fields } from '../protocol/fields.ts';
import { makeField } from '../protocol/http2/field.ts';
import { FieldList } from '../protocol/http2/field-list.ts';
import type { LocalAnswer } from '../protocol/codec.ts';
import type { Refusal } from './refusals.ts';

/**
 * How long the client waits, by its `grpc-timeout`: at most eight digits and a unit. Undefined where it
 * says nothing, or nothing that is a timeout.
 */
export function grpcTimeoutMs(headers: Fields): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(headers.get('grpc-timeout') ?? '');
  const unitMs = unitsMs[match?.[2] ?? ''];
  return unitMs === undefined ? undefined : Number(match?.[1]) * unitMs;
}

/**
 * A refusal as a gRPC client reads it: HTTP says 200, and the status stands among fields that begin and
 * end the response at once ("Trailers-Only").
 */
export function grpcAnswer(refusal: Refusal): LocalAnswer {
  return {
    status: 200,
    fields: [['content-type', 'application/grpc'], ...statusPairs(refusal)],
    body: '',
  };
}

/** The same behind a response that had begun. */
export function grpcTrailers(refusal: Refusal): Fields {
  return new FieldList(
    statusPairs(refusal).map(([name, value]) => makeField(name, value)),
    0,
  );
}

function statusPairs({ status, text, reset }: Refusal): [name: string, value: string][] {
  const code =
    reset === undefined ? grpcStatusOf(kinds[status] ?? 'internal') : grpcStatusOfReset(reset);
  return [
    ['grpc-status', String(code)],
    ['grpc-message', percentEncoded(text)],
  ];
}

/** gRPC's own encoding of messages: what is not printable ASCII, and the percent sign, as `%XX`. */
function percentEncoded(text: string): string {
  return encodeURIComponent(text).replaceAll(/%(?!25)([2-7][0-9A-F])/g, (whole, hex: string) => {
    const code = Number.parseInt(hex, 16);
    return code < 0x7f ? String.fromCharCode(code) : whole;
  });
}

// gRPC's mapping of HTTP statuses, made more exact where we know what happened.
const kinds: Readonly<Record<number, ErrorKind>> = {
  400: 'internal',
  401: 'unauthenticated',
  403: 'permission_denied',
  404: 'unimplemented',
  408: 'deadline_exceeded',
  413: 'resource_exhausted',
  414: 'resource_exhausted',
  429: 'unavailable',
  431: 'resource_exhausted',
  501: 'unimplemented',
  502: 'unavailable',
  503: 'unavailable',
  504: 'deadline_exceeded',
};

const unitsMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
};
