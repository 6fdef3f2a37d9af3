/** The address of a Workload API, as operators and the environment write it. */

import { CodedError } from '../core/index.ts';

export class EndpointError extends CodedError<'endpoint_socket'> {
  override readonly name = 'EndpointError';
  override readonly kind = 'invalid_argument';
}

/** E-3: `unix:///absolute/path`; a bare path is taken too. Throws {@link EndpointError}. */
export function endpointSocketPath(text: string): string {
  if (text.startsWith('unix:')) {
    const path = /^unix:(?:\/\/)?(\/.*)$/.exec(text)?.[1];
    if (path !== undefined) return path;
  } else if (text.startsWith('/')) {
    return text;
  }
  throw new EndpointError(
    'endpoint_socket',
    `${JSON.stringify(text)} is not the address of a Workload API`,
    {
      remedy: 'give unix:///absolute/path, or set SPIFFE_ENDPOINT_SOCKET',
    },
  );
}
