/**
 * A plugin of `buf generate`: writes every `.proto` file as a descriptor with the symbols it defines, so
 * that server reflection needs neither the files nor a parser where it runs.
 */

import { Buffer } from 'node:buffer';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  CodeGeneratorRequestSchema,
  CodeGeneratorResponse_Feature,
  CodeGeneratorResponseSchema,
  type DescriptorProto,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt';

const input: Uint8Array[] = [];
for await (const chunk of process.stdin) input.push(Buffer.from(chunk));
const request = fromBinary(CodeGeneratorRequestSchema, Buffer.concat(input));
const entries = request.protoFile.map((file) => {
  const { name, dependency } = file;
  const bare = create(FileDescriptorProtoSchema, { ...file, sourceCodeInfo: undefined });
  const bytes = Buffer.from(toBinary(FileDescriptorProtoSchema, bare));
  const value = { name, dependencies: dependency, symbols: symbolsOf(file) };
  return { ...value, base64: bytes.toString('base64') };
});
const content = `/** Written by api/reflection/descriptor-plugin.ts; edit the .proto files instead. */

export const fileDescriptors: readonly {
  readonly name: string;
  readonly dependencies: readonly string[];
  /** Full names of the services, methods, messages and enums in it. */
  readonly symbols: readonly string[];
  /** A google.protobuf.FileDescriptorProto. */
  readonly base64: string;
}[] = ${JSON.stringify(entries, undefined, 2)};
`;
const response = create(CodeGeneratorResponseSchema, {
  supportedFeatures: BigInt(CodeGeneratorResponse_Feature.PROTO3_OPTIONAL),
  file: [{ name: 'descriptors.ts', content }],
});
process.stdout.write(toBinary(CodeGeneratorResponseSchema, response));

function symbolsOf(file: FileDescriptorProto): string[] {
  const prefix = file.package === '' ? '' : `${file.package}.`;
  return [
    ...file.service.flatMap(({ name, method }) => [
      `${prefix}${name}`,
      ...method.map((each) => `${prefix}${name}.${each.name}`),
    ]),
    ...file.messageType.flatMap((message) => messageSymbols(message, prefix)),
    ...file.enumType.map(({ name }) => `${prefix}${name}`),
  ];
}

function messageSymbols(message: DescriptorProto, prefix: string): string[] {
  const name = `${prefix}${message.name}`;
  return [
    name,
    ...message.nestedType.flatMap((nested) => messageSymbols(nested, `${name}.`)),
    ...message.enumType.map((each) => `${name}.${each.name}`),
  ];
}
