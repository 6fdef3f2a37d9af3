/** The Workload API as commands call it: where it is, and what is said when nobody answers there. */

import { type Command, Option } from 'commander';
import { SpiffeWorkloadAPIClient } from '../api/index.ts';
import { metadataOf, RpcError, unixChannel } from '../rpc/index.ts';
import { EndpointError, endpointSocketPath } from './endpoint-socket.ts';
import { answering, defaultAgentSocket } from './options.ts';

/** A command that asks the Workload API on behalf of its own process. */
export function askingWorkloadApi(command: Command): Command {
  return answering(command).addOption(
    new Option('--socket <path>', "the agent's socket, a path or unix:///path")
      .env('SPIFFE_ENDPOINT_SOCKET')
      .default(`unix://${defaultAgentSocket}`),
  );
}

/** Runs `ask` with a client and closes it. Throws what the API answered, or that no agent is there. */
export async function withWorkloadApi<T>(
  socket: string,
  ask: (client: SpiffeWorkloadAPIClient, what: string) => Promise<T>,
): Promise<T> {
  const channel = unixChannel(endpointSocketPath(socket));
  const client = new SpiffeWorkloadAPIClient(channel.target, channel.credentials, channel.options);
  try {
    return await ask(client, `agent on ${socket}`);
  } catch (error) {
    throw unansweredOf(error, socket);
  } finally {
    client.close();
  }
}

/** E-2: every request carries this header, which a browser cannot be made to send. */
export function workloadHeader(): ReturnType<typeof metadataOf> {
  return metadataOf({ 'workload.spiffe.io': 'true' });
}

/** An agent that is not there is for whoever typed the command to mend. */
function unansweredOf(error: unknown, socket: string): unknown {
  if (!(error instanceof RpcError && /ENOENT|ECONNREFUSED|EACCES/.test(error.message)))
    return error;
  const reason = /E[A-Z]+/.exec(error.message)?.[0] ?? '';
  return new EndpointError('endpoint_socket', `no agent answers on ${socket} (${reason})`, {
    remedy: 'start it with `signet agent run`, or name its socket with --socket',
  });
}
