/** The door of `api/`: the messages and services that programs share. */

export {
  type AuthorityList,
  type AuthorityView,
  authorityListSchema,
  authoritySchema,
  type ChangeAuthority,
  changeAuthoritySchema,
  type PlanStep,
  planStepSchema,
  type RotationPlan,
  rotationPlanSchema,
} from './admin/authorities.ts';
export { openBackup } from './admin/backup.ts';
export { type AdminClient, adminClient } from './admin/client.ts';
export {
  type CreateEntry,
  createEntrySchema,
  type EntryList,
  type EntryView,
  entryListSchema,
  entrySchema,
  type ImportChangeView,
  importEntriesMax,
  importEntriesSchema,
  type ImportFaultView,
  type ImportResult,
  importResultSchema,
  updateEntrySchema,
} from './admin/entries.ts';
export {
  type CreateToken,
  createTokenSchema,
  type NodeList,
  type NodeView,
  nodeListSchema,
  nodeReasonSchema,
  nodeSchema,
  prunedNodesSchema,
  pruneNodesSchema,
  type TokenView,
  tokenSchema,
} from './admin/nodes.ts';
export { type OpenApiDocument, openApiDocument } from './admin/openapi.ts';
export {
  type AdminVerb,
  adminVerbs,
  noBody,
  noParams,
  noQuery,
  type Operation,
  pageQuerySchema,
} from './admin/operation.ts';
export {
  type RevocationList,
  type RevocationView,
  revocationListSchema,
  type Revoke,
  type RevokedView,
  revokedSchema,
  revokeSchema,
  type UnblockedView,
  unblockedSchema,
  unblockSchema,
} from './admin/revocations.ts';
export {
  type ExplainPolicy,
  explainPolicySchema,
  mintedJwtSchema,
  type MintedJwtView,
  type MintJwt,
  mintJwtSchema,
  policySchema,
  type PolicyView,
  verdictSchema,
  type VerdictView,
} from './admin/policies.ts';
export {
  AdminError,
  httpStatusOf,
  isErrorKind,
  type Problem,
  problemSchema,
} from './admin/problem.ts';
export {
  type AuditFilterQuery,
  type AuditMatches,
  auditMatchesSchema,
  auditQuerySchema,
  type CheckpointView,
  checkpointSchema,
  type HeldList,
  type HeldQuery,
  heldListSchema,
  heldQuerySchema,
  type HoldingView,
} from './admin/audit.ts';
export type { EntryPage, PageOf } from './admin/registry-client.ts';
export {
  createRuleSchema,
  ruleIdentityListSchema,
  type RuleIdentityView,
  ruleListSchema,
  ruleSchema,
  type RuleView,
} from './admin/rules.ts';
export {
  type AuditList,
  type AuditRecordView,
  auditListSchema,
  auditRecordSchema,
  type StatusView,
  statusSchema,
} from './admin/status.ts';
export { type AdminIdentity, type AdminTarget } from './admin/transport.ts';
export {
  CertificateValidationContext,
  DataSource,
  Secret,
  SPIFFECertValidatorConfig,
  SPIFFECertValidatorConfig_TrustDomain,
  TlsCertificate,
} from './gen/envoy/extensions/transport_sockets/tls/v3/secret.ts';
export {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
  Resource,
} from './gen/envoy/service/discovery/v3/discovery.ts';
export {
  SecretDiscoveryServiceClient,
  type SecretDiscoveryServiceServer,
  SecretDiscoveryServiceService,
} from './gen/envoy/service/secret/v3/sds.ts';
export { Any } from './gen/google/protobuf/any.ts';
export {
  AttestRequest,
  AttestResponse,
  ChallengeRequest,
  ChallengeResponse,
  Entry,
  MintJwtSvidsRequest,
  MintJwtSvidsResponse,
  NodeApiClient,
  type NodeApiServer,
  NodeApiService,
  RenewRequest,
  RenewResponse,
  SignX509SvidsRequest,
  SignX509SvidsRequest_Item,
  SignX509SvidsResponse,
  SignX509SvidsResponse_Item,
  SyncRequest,
  SyncResponse,
  TrustReport,
  X509PopEvidence,
} from './gen/signet/node/v1/node_api.ts';
export {
  JWTBundlesRequest,
  JWTBundlesResponse,
  JWTSVIDRequest,
  JWTSVIDResponse,
  SpiffeWorkloadAPIClient,
  type SpiffeWorkloadAPIServer,
  SpiffeWorkloadAPIService,
  ValidateJWTSVIDRequest,
  ValidateJWTSVIDResponse,
  X509BundlesRequest,
  X509BundlesResponse,
  X509SVID,
  X509SVIDRequest,
  X509SVIDResponse,
} from './gen/spiffe/workload/workload.ts';
export { retryHintOf, withRetryHint } from './retry-hint.ts';
export { secretTypeUrl, spiffeValidatorName, spiffeValidatorTypeUrl } from './sds.ts';
