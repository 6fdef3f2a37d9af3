/** The floor: a grpc-js server on a Unix socket that knows nothing, and sends the same bytes to every stream when it gets SIGUSR2. */

import { readFileSync } from 'node:fs';
import {
  type handleBidiStreamingCall,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
} from '@grpc/grpc-js';
import { z } from 'zod';
import { SecretDiscoveryServiceService } from '../../api/index.ts';

const optionsSchema = z.object({
  socket: z.string(),
  /** Base64. */
  message: z.string(),
});
export type BareSdsOptions = z.infer<typeof optionsSchema>;

/** `file` holds what it needs, as JSON. The first request of a stream is answered, the others are acknowledgements. */
export function serveBareSds(file: string): void {
  const given = optionsSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  const message = Buffer.from(given.message, 'base64');
  const calls = new Set<ServerDuplexStream<Buffer, Buffer>>();
  const same = (bytes: Buffer): Buffer => bytes;
  const stream: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    call.on('data', () => {
      if (calls.has(call)) return;
      calls.add(call);
      call.write(message);
    });
    const gone = (): void => void calls.delete(call);
    call.on('error', gone);
    call.on('cancelled', gone);
  };
  const server = new Server();
  server.addService(
    {
      stream: {
        path: SecretDiscoveryServiceService.streamSecrets.path,
        requestStream: true,
        responseStream: true,
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: same,
        responseDeserialize: same,
      },
    },
    { stream },
  );
  server.bindAsync(`unix://${given.socket}`, ServerCredentials.createInsecure(), (error) => {
    process.stdout.write(error === null ? 'ready\n' : `${error.message}\n`);
  });
  process.on('SIGUSR2', () => {
    for (const call of calls) call.write(message);
  });
  process.on('SIGTERM', () => server.forceShutdown());
}
