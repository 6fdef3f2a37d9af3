/** What SDS calls things on the wire. */

/** The one resource type of the Secret Discovery Service. */
export const secretTypeUrl = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';

/** The type of the configuration that the SPIFFE validator takes. */
export const spiffeValidatorTypeUrl =
  'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig';

/** The name under which Envoy registers its validator by trust domain. */
export const spiffeValidatorName = 'envoy.tls.cert_validator.spiffe';
