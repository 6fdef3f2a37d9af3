/** The media types of gRPC-Web, and those of gRPC that stand for them. */

/** What one call speaks: how its request is written, and how its response is asked for. */
export interface GrpcWebCall {
  /** The request's content-type in gRPC. */
  readonly grpcType: string;
  readonly isRequestText: boolean;
  readonly isResponseText: boolean;
}

/** Undefined where the content-type is none of gRPC-Web. */
export function grpcWebCall(
  contentType: string | undefined,
  accept: string | undefined,
): GrpcWebCall | undefined {
  const match = grpcWebType.exec(contentType ?? '');
  if (match === null) return undefined;
  const isRequestText = match[1] !== undefined;
  // PROTOCOL-WEB.md: a client asks for text by Accept; one that asks for nothing reads what it writes.
  const accepted = acceptedType.exec(accept ?? '');
  return {
    grpcType: `application/grpc${match[2]?.toLowerCase() ?? ''}`,
    isRequestText,
    isResponseText: accepted === null ? isRequestText : accepted[1] !== undefined,
  };
}

/** The media type of a response, or undefined where its own is none of gRPC. */
export function grpcWebTypeOf(
  contentType: string | undefined,
  isText: boolean,
): string | undefined {
  const match = grpcType.exec(contentType ?? '');
  if (match === null) return undefined;
  return `application/grpc-web${isText ? '-text' : ''}${match[1]?.toLowerCase() ?? ''}`;
}

// RFC 9110 §8.3.1: types are compared without regard to case. What follows `+` names the serialization.
const grpcWebType = /^application\/grpc-web(-text)?(\+[\w.-]+)?[ \t]*(?:;|$)/i;
const acceptedType = /(?:^|,)[ \t]*application\/grpc-web(-text)?(?:\+[\w.-]+)?[ \t]*(?:[;,]|$)/i;
const grpcType = /^application\/grpc(\+[\w.-]+)?[ \t]*(?:;|$)/i;
