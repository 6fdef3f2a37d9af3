/** What a process that makes a load is told. */

import { z } from 'zod';
import { loadTargetSchema } from './load-connection.ts';

export const loadSettingSchema = loadTargetSchema.extend({
  warmUpMs: z.number(),
  windowMs: z.number(),
  watchedPid: z.number(),
});
export type LoadSetting = z.output<typeof loadSettingSchema>;
