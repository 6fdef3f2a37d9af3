/** A raw call of the admin API: any method, path, body and header, and the answer as it came. */

import { type IncomingHttpHeaders, request as httpRequest } from 'node:http';
import { type Agent, request as httpsRequest } from 'node:https';

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** The listener for mutual TLS, and the connections of whoever calls. */
export interface TlsDoor {
  readonly port: number;
  readonly agent: Agent;
}

export function adminRequest(
  door: string | TlsDoor,
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
    const place = typeof door === 'string' ? { socketPath: door } : { ...door, host: '127.0.0.1' };
    const send = typeof door === 'string' ? httpRequest : httpsRequest;
    const request = send(
      {
        ...place,
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
