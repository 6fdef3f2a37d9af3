/** The states of a stream (RFC 9113 §5.1). Nothing is ever reserved: we push nothing and allow no push. */

export type StreamState = 'idle' | 'open' | 'half_closed_local' | 'half_closed_remote' | 'closed';

/** `headers` begin a stream; `end` is the flag END_STREAM, on whatever frame it came. */
export type StreamEvent =
  | 'send_headers'
  | 'send_end'
  | 'send_reset'
  | 'receive_headers'
  | 'receive_end'
  | 'receive_reset';

/** The state after the event, or undefined where the event is not allowed. */
export function stateAfter(state: StreamState, event: StreamEvent): StreamState | undefined {
  return transitions[state][event];
}

export function mayReceive(state: StreamState): boolean {
  return state === 'open' || state === 'half_closed_local';
}

export function maySend(state: StreamState): boolean {
  return state === 'open' || state === 'half_closed_remote';
}

const transitions: Readonly<Record<StreamState, Partial<Record<StreamEvent, StreamState>>>> = {
  idle: { send_headers: 'open', receive_headers: 'open' },
  open: {
    send_headers: 'open',
    receive_headers: 'open',
    send_end: 'half_closed_local',
    receive_end: 'half_closed_remote',
    send_reset: 'closed',
    receive_reset: 'closed',
  },
  half_closed_local: {
    receive_headers: 'half_closed_local',
    receive_end: 'closed',
    send_reset: 'closed',
    receive_reset: 'closed',
  },
  half_closed_remote: {
    send_headers: 'half_closed_remote',
    send_end: 'closed',
    send_reset: 'closed',
    receive_reset: 'closed',
  },
  closed: {},
};
