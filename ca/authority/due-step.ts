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
  const { propagationOf, policy } = context;
  switch (due.kind) {
    case 'begin_root':
      return beginStep;
    case 'prepare_root':
      return prepareAutomaticallyStep;
    case 'adopt_root':
      return adoptStep;
    case 'note_arrivals':
      return noteArrivalsStep(due.id, propagationOf(due.id));
    case 'publish_root':
      return publishStep(due.id);
    case 'activate_root':
      return activateStep(systemActor, due.id, propagationOf, false, policy.threshold);
    case 'renew_issuing':
      return renewStep(systemActor);
    case 'retire':
      return retireStep(systemActor, due.id, false);
  }
}
