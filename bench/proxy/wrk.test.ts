import { expect, test } from 'vitest';
import { BenchError } from '../bench-error.ts';
import { parseWrk } from './wrk.ts';

const good = `Running 1s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.71ms  320.11us   9.64ms   93.88%
    Req/Sec    37.61k     1.69k   39.89k    80.00%
  Latency Distribution
     50%  640.00us
     75%    1.80ms
     90%    1.92ms
     99%    2.59ms
  37410 requests in 1.10s, 8.24MB read
Requests/sec:  37385.87
Transfer/sec:      8.23MB
`;

test('requests, time and latencies are read, each in its unit', () => {
  expect(parseWrk(good)).toEqual({ requests: 37_410, elapsedMs: 1100, p50Ms: 0.64, p99Ms: 2.59 });
});

test('seconds, which wrk pads with a blank, are read too', () => {
  expect(parseWrk(good.replace('2.59ms', '1.47s ')).p99Ms).toBe(1470);
});

test('a run with failures is no measurement', () => {
  expect(() => parseWrk(`${good}  Non-2xx or 3xx responses: 12\n`)).toThrow(/responses: 12/);
  expect(() => parseWrk(`${good}  Socket errors: connect 0, read 3\n`)).toThrow(/read 3/);
});

test.for(['', 'unable to connect to 127.0.0.1:1', good.replace('99%    2.59ms', '99%    2.59')])(
  'other output is refused',
  (text) => {
    expect(() => parseWrk(text)).toThrow(BenchError);
  },
);
