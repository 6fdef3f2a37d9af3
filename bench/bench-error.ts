/** What can go wrong in a measurement, apart from the figures. */

import { CodedError, type CodedErrorOptions, type ErrorKind } from '../core/index.ts';

export type BenchErrorCode =
  | 'bench_option'
  | 'bench_process'
  | 'bench_output'
  | 'bench_answer'
  | 'bench_no_samples';

export class BenchError extends CodedError<BenchErrorCode> {
  override readonly name = 'BenchError';
  override readonly kind: ErrorKind;

  constructor(code: BenchErrorCode, message: string, options: CodedErrorOptions = {}) {
    super(code, message, options);
    this.kind = code === 'bench_option' ? 'invalid_argument' : 'internal';
  }
}
