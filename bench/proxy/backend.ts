/**
 * The service behind the hop where there is no nginx, a process of its own: answers every request with
 * 128 bytes. It reads no more of a request than where it ends, so that it costs as little as it can.
 *
 * Arguments: a JSON object, see `settingSchema`.
 */

import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { z } from 'zod';

const settingSchema = z.object({
  plaintextPort: z.number(),
  tlsPort: z.number(),
  chain: z.string(),
  key: z.string(),
  root: z.string(),
});

const body = 'x'.repeat(128);
const response = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  'latin1',
);
const headEnd = '\r\n\r\n';

function serve(socket: Socket): void {
  let rest = '';
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes: Buffer) => {
    // Requests here have no body: each ends with its head.
    const heads = (rest + bytes.toString('latin1')).split(headEnd);
    rest = heads.pop() ?? '';
    for (let count = heads.length; count > 0; count -= 1) socket.write(response);
  });
}

const setting = settingSchema.parse(JSON.parse(process.argv[2] ?? '{}'));
createServer(serve).listen(setting.plaintextPort, '127.0.0.1');
createTlsServer(
  {
    minVersion: 'TLSv1.3',
    key: readFileSync(setting.key),
    cert: readFileSync(setting.chain),
    ca: readFileSync(setting.root),
    requestCert: true,
    rejectUnauthorized: true,
  },
  serve,
).listen(setting.tlsPort, '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
