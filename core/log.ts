/** Structured logging behind a small port, so that no room depends on the logging library. */

import { pino } from 'pino';

export type LogFields = Readonly<Record<string, unknown>>;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds `fields` to every line. */
  with(fields: LogFields): Logger;
}

/** Logs JSON lines to standard error, which leaves standard output to what a command answers. */
export function jsonLogger(program: string, level: LogLevel): Logger {
  const destination = pino.destination({ dest: 2, sync: true });
  const root = pino(
    { level, base: { program }, timestamp: pino.stdTimeFunctions.isoTime, redact: secretPaths },
    destination,
  );
  return wrap(root);
}

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  with: () => silentLogger,
};

function wrap(target: pino.Logger): Logger {
  return {
    debug: (message, fields) => target.debug(fields ?? {}, message),
    info: (message, fields) => target.info(fields ?? {}, message),
    warn: (message, fields) => target.warn(fields ?? {}, message),
    error: (message, fields) => target.error(fields ?? {}, message),
    with: (fields) => wrap(target.child(fields)),
  };
}

// A second net: no call site passes these, and if one ever did the value would still not be written.
const secretPaths = ['token', 'privateKey', 'key', '*.token', '*.privateKey', '*.key'];
