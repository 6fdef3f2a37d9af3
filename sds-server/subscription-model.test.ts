/** The model of SDS clients, tried often enough to find what is often wrong. */

import { test } from 'vitest';
import {
  checkConvergence,
  checkSilence,
  checkWithdrawal,
  protocols,
} from '../test/fakes/subscription-model.ts';

test.for(protocols)(
  '%s: a correct client converges to the newest state, without loops',
  ([, connect]) => checkConvergence(connect, 100),
);

test('delta: what the client may not see any more it does not keep', () => checkWithdrawal(60));

test('nothing is ever sent on an acknowledgement or a refusal alone', () => checkSilence(60));
