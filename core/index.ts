/** The door of `core/`: bytes, time, chance, errors, life cycle, watch, log and config. */

export { type BackoffPolicy, backoffMs } from './backoff.ts';
export {
  concatBytes,
  equalBytes,
  fromBase64,
  fromHex,
  toBase64,
  toHex,
  utf8Bytes,
  utf8Text,
} from './bytes.ts';
export { afterTurn, type Clock, sleep, systemClock, type Timer } from './clock.ts';
export { type Collector, createCollector, createYoungCollector } from './collector.ts';
export {
  addressField,
  ConfigError,
  type ConfigFault,
  durationField,
  parseConfig,
  socketPathField,
} from './config.ts';
export { cutText } from './cut-text.ts';
export { formatDurationMs, parseDurationMs } from './duration.ts';
export {
  CodedError,
  type CodedErrorOptions,
  describeError,
  type ErrorKind,
  exitCodeOf,
  systemErrorCode,
} from './errors.ts';
export { freePorts } from './free-ports.ts';
export {
  FileError,
  type FileErrorCode,
  readText,
  readWhole,
  replaceFile,
  syncDirectory,
} from './files.ts';
export { GroupCommit, type GroupCommitOptions } from './group-commit.ts';
export { canonicalJson, type Json } from './json.ts';
export { type Closable, Scope } from './lifecycle.ts';
export { jsonLogger, type LogFields, type Logger, type LogLevel, silentLogger } from './log.ts';
export { makePrivateDirectory } from './private-directory.ts';
export { type Random, seededRandom, systemRandom } from './random.ts';
export { RateLimit, type RateLimitOptions } from './rate-limit.ts';
export {
  checkSocketPath,
  SocketPathError,
  type SocketPathErrorCode,
  socketPathBytesMax,
} from './socket-path.ts';
export { firstValue, type Watch, WatchSource } from './watch.ts';
