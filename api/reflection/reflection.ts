/** gRPC server reflection (E-6): tells tools which services a server has, and what their messages look like. */

import { Buffer } from 'node:buffer';
import { type Duplex, duplexStream, type RpcServer } from '../../rpc/index.ts';
import { fileDescriptors } from '../gen/descriptors.ts';
import {
  ServerReflectionService,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from '../gen/grpc/reflection/v1/reflection.ts';
import { ServerReflectionService as ServerReflectionAlphaService } from '../gen/grpc/reflection/v1alpha/reflection.ts';

/**
 * Answers for the services named, in full, and for itself; of other files it knows nothing. Both versions:
 * the messages are the same, and many tools ask for the older one first.
 */
export function addReflection(server: RpcServer, services: readonly string[]): void {
  const index = indexOf([...services, ...reflectionServices]);
  const serverReflectionInfo = duplexStream(
    server.lookup,
    async (stream: Duplex<ServerReflectionRequest, ServerReflectionResponse>) => {
      for await (const request of stream.requests) {
        stream.send({
          validHost: request.host,
          originalRequest: request,
          messageResponse: answerTo(request, index),
        });
        // One answer under way: a caller that asks and never reads costs no memory.
        await stream.drained();
      }
    },
  );
  server.addService(ServerReflectionService, { serverReflectionInfo });
  server.addService(ServerReflectionAlphaService, { serverReflectionInfo });
}

type FileDescriptor = (typeof fileDescriptors)[number];
type Answer = ServerReflectionResponse['messageResponse'];

interface DescriptorIndex {
  readonly services: readonly string[];
  readonly files: ReadonlyMap<string, FileDescriptor>;
  readonly bySymbol: ReadonlyMap<string, FileDescriptor>;
}

/** Throws if a service has no descriptor: then `npm run gen` was not run. */
function indexOf(services: readonly string[]): DescriptorIndex {
  const files = new Map<string, FileDescriptor>();
  for (const service of services) {
    const file = fileDescriptors.find(({ symbols }) => symbols.includes(service));
    if (file === undefined) throw new TypeError(`there is no descriptor of the service ${service}`);
    for (const each of withDependencies(file)) files.set(each.name, each);
  }
  const bySymbol = new Map(
    [...files.values()].flatMap((file) => file.symbols.map((symbol) => [symbol, file] as const)),
  );
  return { services: services.toSorted(), files, bySymbol };
}

function answerTo({ messageRequest }: ServerReflectionRequest, index: DescriptorIndex): Answer {
  switch (messageRequest?.$case) {
    case 'listServices':
      return {
        $case: 'listServicesResponse',
        value: { service: index.services.map((name) => ({ name })) },
      };
    case 'fileByFilename':
      return answerWith(index.files.get(messageRequest.value), messageRequest.value);
    case 'fileContainingSymbol':
      return answerWith(index.bySymbol.get(messageRequest.value), messageRequest.value);
    case 'allExtensionNumbersOfType': {
      const { value } = messageRequest;
      return index.bySymbol.has(value)
        ? {
            $case: 'allExtensionNumbersResponse',
            value: { baseTypeName: value, extensionNumber: [] },
          }
        : notFound(value);
    }
    case 'fileContainingExtension':
      return notFound(messageRequest.value.containingType);
    case undefined:
      break;
  }
  return failure(invalidArgument, 'the request asks for nothing that is known');
}

/** With the files that it imports: a tool then need not ask for each. */
function answerWith(file: FileDescriptor | undefined, name: string): Answer {
  if (file === undefined) return notFound(name);
  const bytes = withDependencies(file).map(({ base64 }) => Buffer.from(base64, 'base64'));
  return { $case: 'fileDescriptorResponse', value: { fileDescriptorProto: bytes } };
}

function withDependencies(file: FileDescriptor): readonly FileDescriptor[] {
  const found = new Set([file]);
  // A set goes on to what is added while it is walked.
  for (const { dependencies } of found) {
    for (const each of fileDescriptors) if (dependencies.includes(each.name)) found.add(each);
  }
  return [...found];
}

function notFound(name: string): Answer {
  return failure(
    notFoundStatus,
    `${JSON.stringify(name.slice(0, nameLengthMax))} is not known here`,
  );
}

function failure(errorCode: number, errorMessage: string): Answer {
  return { $case: 'errorResponse', value: { errorCode, errorMessage } };
}

const reflectionServices = [
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
];
// In this protocol gRPC's status codes stand inside a message.
const invalidArgument = 3;
const notFoundStatus = 5;
const nameLengthMax = 120;
