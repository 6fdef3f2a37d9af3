/** The `oidc` part of the CA's configuration: where discovery listens, and as whom it speaks. */

import { z } from 'zod';
import { addressField } from '../../core/index.ts';

export interface OidcConfig {
  /** Plain HTTP, meant for a front that ends TLS; the issuer's address is the front's. */
  readonly listen: { readonly host: string; readonly port: number };
  /** `iss` of every token: an https URL with no query and no fragment, without a slash at its end. */
  readonly issuer: string;
}

// OpenID Connect Discovery 1.0 §3: `issuer`. Compared byte by byte, so one form of it only.
const issuerField = z.string().superRefine((text, context) => {
  const url = URL.parse(text);
  const fault =
    url === null
      ? 'is no URL'
      : url.protocol !== 'https:'
        ? 'is no https URL'
        : url.search !== '' || url.hash !== '' || text.includes('?') || text.includes('#')
          ? 'has a query or a fragment'
          : url.username !== '' || url.password !== ''
            ? 'has a user in it'
            : text.endsWith('/')
              ? 'ends with a slash'
              : undefined;
  if (fault === undefined) return;
  context.addIssue({
    code: 'custom',
    message: `${JSON.stringify(text)} ${fault}; write for example https://oidc.mesh.test`,
  });
});

export const oidcField = z.strictObject({ listen: addressField, issuer: issuerField });
