/** The door of `api/`: the messages and services that programs share. */

export {
  type AuthorityList,
  type AuthorityView,
  authorityListSchema,
  authoritySchema,
  type ChangeAuthority,
  changeAuthoritySchema,
  type PrepareAuthority,
  prepareAuthoritySchema,
  type PlanStep,
  planStepSchema,
  type RotationPlan,
  rotationPlanSchema,
} from './admin/authorities.ts';
export { openBackup } from './admin/backup.ts';
export { type AdminClient, adminClient } from './admin/client.ts';
export { type AgentAdminClient, agentAdminClient } from './agent-admin/client.ts';
export {
  type ConsideredRuleView,
  type ExplanationView,
  type LifeView,
  type MatchedEntryView,
  type NearMissView,
} from './agent-admin/explanation.ts';
export {
  agentLivezOperation,
  agentMetricsOperation,
  agentReadyzOperation,
  agentStatusOperation,
  explainOperation,
  sdsClientsOperation,
  sdsResendOperation,
  sdsWatchOperation,
} from './agent-admin/operations.ts';
export {
  type OfferedView,
  type SdsClientsView,
  type SdsClientView,
  type SdsEventView,
} from './agent-admin/sds.ts';
export {
  type AgentStatusView,
  type AttestorView,
  type HeldSvidView,
  type SvidRefusalView,
} from './agent-admin/status.ts';
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
  type ImportLine,
  type ImportProgress,
  type ImportResult,
  importResultSchema,
  updateEntrySchema,
} from './admin/entries.ts';
export {
  federatedBundleListSchema,
  federatedBundleSchema,
  type FederatedBundleView,
  setFederatedBundleSchema,
} from './admin/federated-bundles.ts';
export {
  type CreateToken,
  createTokenSchema,
  type KnownTokenView,
  knownTokenSchema,
  type NodeList,
  type NodeView,
  nodeListSchema,
  nodeReasonSchema,
  nodeSchema,
  prunedNodesSchema,
  pruneNodesSchema,
  type TokenList,
  tokenListSchema,
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
  revocationPageSchema,
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
  archiveMarkRequestSchema,
  archiveMarkSchema,
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
  putSecretSchema,
  type SecretList,
  secretListSchema,
  secretSchema,
  type SecretView,
} from './admin/secrets.ts';
export {
  type AuditList,
  type AuditRecordView,
  auditListSchema,
  auditRecordSchema,
  type StatusQuery,
  statusQuerySchema,
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
  Derivable,
  Entry,
  MintJwtSvidsRequest,
  MintJwtSvidsResponse,
  NodeApiClient,
  type NodeApiServer,
  NodeApiService,
  ReadSecretRequest,
  ReadSecretResponse,
  RenewRequest,
  RenewResponse,
  type SecretHead,
  type SecretHolding,
  SecretHoldingState,
  type SecretRefusal,
  type SecretReport,
  SessionTicketKeysRequest,
  SessionTicketKeysResponse,
  SignX509SvidsRequest,
  SignX509SvidsRequest_Item,
  SignX509SvidsResponse,
  type SignX509SvidsResponse_Chain,
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
export { addReflection } from './reflection/reflection.ts';
export { retryHintOf, withRetryHint } from './retry-hint.ts';
export { isStoredSecretName, reservedSecretNames } from './secret-name.ts';
export { secretTypeUrl, spiffeValidatorName, spiffeValidatorTypeUrl } from './sds.ts';
