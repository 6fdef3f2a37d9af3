/** Many sidecars: a stream each for `ROOTCA`, of which they acknowledge what they get. */

import { DiscoveryRequest, SecretDiscoveryServiceService, secretTypeUrl } from '../../api/index.ts';
import { connectStreamFleet, type StreamFleet } from '../agent/stream-fleet.ts';
import { fieldsOf } from '../agent/unix-stream.ts';

export function connectSdsFleet(socket: string, size: number): Promise<StreamFleet> {
  return connectStreamFleet({
    socket,
    size,
    path: SecretDiscoveryServiceService.streamSecrets.path,
    request: requestOf('', ''),
    isWhole: false,
    // An answer that is still empty is one to wait with.
    isDelivery: (message) => fieldsOf(message, resourcesField).length > 0,
    answerTo: acknowledgementOf,
  });
}

function requestOf(versionInfo: string, responseNonce: string): Uint8Array {
  return DiscoveryRequest.encode({
    versionInfo,
    responseNonce,
    node: undefined,
    resourceNames: ['ROOTCA'],
    typeUrl: secretTypeUrl,
    errorDetail: undefined,
  }).finish();
}

function acknowledgementOf(message: Buffer): Uint8Array {
  const text = (field: number): string =>
    Buffer.from(fieldsOf(message, field)[0] ?? []).toString('utf8');
  return requestOf(text(versionField), text(nonceField));
}

const versionField = 1;
const resourcesField = 2;
const nonceField = 5;
