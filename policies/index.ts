/** The door of `policies/`: who may do what, decided as values with a reason. */

export {
  decidePeer,
  parsePeerPolicy,
  type PeerPolicy,
  PeerPolicyError,
  type PeerPolicyErrorCode,
  type PeerVerdict,
} from './peer-policy.ts';
export type { IssuanceFacts } from './issuance-facts.ts';
export {
  decideIssuance,
  type IssuancePolicy,
  type IssuanceRule,
  type IssuanceVerdict,
} from './issuance-policy.ts';
export { parsePolicyDocument, type PolicyDocument } from './policy-document.ts';
export type { PolicyTest } from './policy-test-case.ts';
export { type PolicyTestResult, runPolicyTests } from './run-policy-tests.ts';
