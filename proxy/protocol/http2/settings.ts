/** SETTINGS (RFC 9113 §6.5, RFC 8441 §3): what the peer says of itself. */

import type { Buffer } from 'node:buffer';
import { connectionFault, errorCode, type Http2Fault } from './error-code.ts';
import { frameBytesDefault, frameBytesMax, windowDefault, windowMax } from './frame.ts';

export const settingId = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
  enableConnectProtocol: 0x8,
} as const;

export interface PeerSettings {
  headerTableSize: number;
  maxConcurrentStreams: number;
  initialWindowSize: number;
  maxFrameSize: number;
  enableConnectProtocol: boolean;
}

/** §6.5.2: what holds until the first SETTINGS arrive. */
export function initialSettings(): PeerSettings {
  return {
    headerTableSize: 4096,
    maxConcurrentStreams: Number.POSITIVE_INFINITY,
    initialWindowSize: windowDefault,
    maxFrameSize: frameBytesDefault,
    enableConnectProtocol: false,
  };
}

/** Reads one frame's settings into `settings`, in their order, so that the last of a kind holds. */
export function readSettings(
  payload: Buffer,
  settings: PeerSettings,
  isFromServer: boolean,
): Http2Fault | undefined {
  for (let at = 0; at < payload.length; at += 6) {
    const fault = readOne(
      payload.readUInt16BE(at),
      payload.readUInt32BE(at + 2),
      settings,
      isFromServer,
    );
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function readOne(
  id: number,
  value: number,
  settings: PeerSettings,
  isFromServer: boolean,
): Http2Fault | undefined {
  switch (id) {
    case settingId.headerTableSize:
      settings.headerTableSize = value;
      return undefined;
    case settingId.enablePush:
      // A server never enables push, and what a client allows we do not use.
      return value === 0 || (value === 1 && !isFromServer) ? undefined : invalid(id, value);
    case settingId.maxConcurrentStreams:
      settings.maxConcurrentStreams = value;
      return undefined;
    case settingId.initialWindowSize:
      if (value > windowMax) {
        return connectionFault(errorCode.flowControlError, `an initial window of ${value}`);
      }
      settings.initialWindowSize = value;
      return undefined;
    case settingId.maxFrameSize:
      if (value < frameBytesDefault || value > frameBytesMax) return invalid(id, value);
      settings.maxFrameSize = value;
      return undefined;
    case settingId.enableConnectProtocol:
      // RFC 8441 §3: once sent it is not taken back.
      if (value > 1 || (value === 0 && settings.enableConnectProtocol)) return invalid(id, value);
      settings.enableConnectProtocol = value === 1;
      return undefined;
    default:
      // §6.5.2: an unknown setting is ignored. So is SETTINGS_MAX_HEADER_LIST_SIZE, which is advice: a peer whose bound
      // a head exceeds says so itself, with a status or a reset, and both are passed on.
      return undefined;
  }
}

function invalid(id: number, value: number): Http2Fault {
  return connectionFault(errorCode.protocolError, `setting ${id} has the value ${value}`);
}
