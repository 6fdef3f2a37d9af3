/** A raw call of the admin API: any method, path, body and header, and the answer as it came. */

import { type IncomingHttpHeaders, request as httpRequest } from 'node:http';

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export function adminRequest(
  socketPath: string,
  call: {
    readonly method: string;
    readonly path: string;
    /** Sent as it is. */
    readonly body?: string;
    readonly headers?: Readonly<Record<string, string>>;
  },
): Promise<RawAnswer> {
  const { method, path, body, headers = {} } = call;
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        socketPath,
        method,
        path,
        headers: {
          host: 'localhost',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
        );
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}
