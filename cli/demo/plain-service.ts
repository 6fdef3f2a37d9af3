/** A plain HTTP service that knows nothing of certificates: it answers who it is and what it was sent. */

import { Buffer } from 'node:buffer';
import { createServer } from 'node:http';

const [name = 'service'] = process.argv.slice(2);
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = JSON.stringify({
      service: name,
      path: request.url,
      body: Buffer.concat(chunks).toString('utf8'),
      // The identity of the caller, as the sidecar proved it; a client cannot set this header itself.
      peer: request.headers['x-forwarded-client-cert'] ?? '',
    });
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    });
    response.end(body);
  });
});
// Longer than any pause of the sidecar's pool, so that it is never this side that closes first.
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(
    `${JSON.stringify({ port: typeof address === 'object' ? address?.port : 0 })}\n`,
  );
});
process.on('SIGTERM', () => process.exit(0));
