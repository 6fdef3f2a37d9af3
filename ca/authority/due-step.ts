/** What is due, as the step that does it. */

import {
  activateStep,
  adoptStep,
  beginStep,
  noteArrivalsStep,
  prepareAutomaticallyStep,
  publishStep,
  renewStep,
  retireStep,
  type Step,
  systemActor,
} from './authority-step.ts';
import type { DueContext, DueStep } from './rotation.ts';

export function dueStepOf(due: DueStep, context: DueContext): Step {
  const { propagationOf, policy, pushTimesOf } = context;
  if (due.kind === 'begin_root') return beginStep;
  if (due.kind === 'prepare_root') return prepareAutomaticallyStep;
  if (due.kind === 'adopt_root') return adoptStep;
  if (due.kind === 'renew_issuing') return renewStep(systemActor);
  if (due.kind === 'note_arrivals') {
    return noteArrivalsStep(due.id, propagationOf(due.id), pushTimesOf?.(due.id));
  }
  if (due.kind === 'publish_root') {
    return publishStep(due.id, propagationOf(due.id), policy.threshold);
  }
  return due.kind === 'activate_root'
    ? activateStep(systemActor, due.id, propagationOf, false, policy.threshold)
    : retireStep(systemActor, due.id, false);
}
