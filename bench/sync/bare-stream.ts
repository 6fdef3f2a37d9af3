/**
 * The floor: a grpc-js server that knows nothing. It lets in whoever has a certificate of the roots, and
 * sends one and the same message to every stream when it gets SIGUSR2.
 */

import { readFileSync } from 'node:fs';
import {
  type handleBidiStreamingCall,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
} from '@grpc/grpc-js';
import { z } from 'zod';
import { NodeApiService } from '../../api/index.ts';

/** Its port is the first line that it prints. `file` holds what it needs, as JSON. */
export function serveBareStream(file: string): void {
  const given = optionsSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  const message = Buffer.from(given.message, 'base64');
  const calls = new Set<ServerDuplexStream<Buffer, Buffer>>();
  const sync: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    calls.add(call);
    call.on('data', () => undefined);
    call.on('error', () => calls.delete(call));
    call.on('cancelled', () => calls.delete(call));
    call.write(message);
  };
  const same = (bytes: Buffer): Buffer => bytes;
  const { path } = NodeApiService.sync;
  const server = new Server();
  server.addService(
    {
      sync: {
        path,
        requestStream: true,
        responseStream: true,
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: same,
        responseDeserialize: same,
      },
    },
    { sync },
  );
  const credentials = ServerCredentials.createSsl(
    Buffer.from(given.roots.join('')),
    [{ cert_chain: Buffer.from(given.certificates), private_key: Buffer.from(given.privateKey) }],
    true,
  );
  server.bindAsync('127.0.0.1:0', credentials, (error, port) => {
    process.stdout.write(error === null ? `${port}\n` : `${error.message}\n`);
  });
  process.on('SIGUSR2', () => {
    for (const call of calls) call.write(message);
  });
  process.on('SIGTERM', () => server.forceShutdown());
}

const optionsSchema = z.object({
  roots: z.array(z.string()).readonly(),
  certificates: z.string(),
  privateKey: z.string(),
  /** Base64. */
  message: z.string(),
});
export type BareStreamOptions = z.infer<typeof optionsSchema>;
