/** The configuration of `signet svid sink`: which SVID is written where, and who is told. */

import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { durationField, type LogLevel, parseConfig, socketPathField } from '../../core/index.ts';
import type { ReloadCommand } from './reload-command.ts';

export interface SinkTarget {
  readonly directory: string;
  readonly format: 'pem' | 'pkcs12';
  /** For `pkcs12`. */
  readonly passwordFile?: string | undefined;
  /** Which of several; absent: the default identity. */
  readonly spiffeId?: string | undefined;
  readonly reload?: ReloadCommand | undefined;
}

export interface SinkConfig {
  readonly socket: string;
  readonly sinks: readonly SinkTarget[];
  readonly logLevel: LogLevel;
}

/** Throws ConfigError with every fault of the text. */
export function parseSinkConfig(text: string, fileName: string): SinkConfig {
  return parseConfig(text, fileName, sinkSchema);
}

const pathField = z.string().refine((path) => isAbsolute(path), 'is not an absolute path');
const targetField = z
  .strictObject({
    directory: pathField,
    format: z.enum(['pem', 'pkcs12']).default('pem'),
    passwordFile: pathField.optional(),
    spiffeId: z.string().min(1).optional(),
    reload: z
      .strictObject({
        command: z.tuple([pathField], z.string()),
        timeout: durationField.prefault('10s'),
      })
      .transform(({ command, timeout }) => ({ argv: command, deadlineMs: timeout }))
      .optional(),
  })
  .refine(
    ({ format, passwordFile }) => (format === 'pkcs12') === (passwordFile !== undefined),
    'passwordFile belongs to format pkcs12, which needs it',
  );

// Each writes some kilobytes a rotation; more than these is a mistake.
const sinksMax = 32;
const sinkSchema = z
  .strictObject({
    socket: socketPathField.default('/run/signet/agent.sock'),
    sinks: z.array(targetField).min(1).max(sinksMax),
    logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  })
  .refine(
    ({ sinks }) => new Set(sinks.map(({ directory }) => directory)).size === sinks.length,
    'two sinks write to one directory',
  );
