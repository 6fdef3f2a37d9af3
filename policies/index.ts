/** The door of `policies/`: who may do what, decided as values with a reason. */

export {
  decidePeer,
  parsePeerPolicy,
  type PeerPolicy,
  PeerPolicyError,
  type PeerPolicyErrorCode,
  type PeerVerdict,
} from './peer-policy.ts';
