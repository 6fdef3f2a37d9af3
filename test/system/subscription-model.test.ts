/** The same properties as in sds-server/subscription-model.test.ts, tried often enough to find what is seldom wrong. */

import { test } from 'vitest';
import {
  checkConvergence,
  checkSilence,
  checkWithdrawal,
  protocols,
} from '../fakes/subscription-model.ts';

test.for(protocols)(
  '%s: a correct client converges to the newest state, without loops',
  ([, connect]) => checkConvergence(connect, 20_000),
);

test('delta: what the client may not see any more it does not keep', () => checkWithdrawal(20_000));

test('nothing is ever sent on an acknowledgement or a refusal alone', () => checkSilence(10_000));
