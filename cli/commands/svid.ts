/** `signet svid`: what the Workload API gives to this very process, and what an operator takes back. */

import { Command, Option } from 'commander';
import { SpiffeWorkloadAPIClient, type X509SVIDResponse } from '../../api/index.ts';
import { toHex } from '../../core/index.ts';
import { keyIdOf, parseCertificate, publicKeyOf, splitCertificates } from '../../pki/index.ts';
import { messagesOf, metadataOf, RpcError, unixChannel } from '../../rpc/index.ts';
import { EndpointError, endpointSocketPath } from '../endpoint-socket.ts';
import { answering, defaultAgentSocket, outputOf, withExamples } from '../options.ts';
import { formatRelative, formatTable } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';
import { addRevocationCommands } from './revocation.ts';
import { addExportCommands } from './svid-export.ts';

interface SvidView {
  readonly spiffeId: string;
  readonly serial: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly chainLength: number;
  readonly rootKeyIds: readonly string[];
  readonly hint: string;
}

export function svidCommand(context: ProgramContext): Command {
  const svid = new Command('svid').description(
    'fetch the SVIDs of this process; revoke those of others',
  );
  const fetch = answering(svid.command('fetch'))
    .description('fetch the X.509 SVIDs of this process; keys are never printed')
    .addOption(
      new Option('--socket <path>', "the agent's socket, a path or unix:///path")
        .env('SPIFFE_ENDPOINT_SOCKET')
        .default(`unix://${defaultAgentSocket}`),
    )
    .option('-w, --watch', 'go on as they rotate')
    .action(async (options: { socket: string; watch?: boolean }, command: Command) => {
      const channel = unixChannel(endpointSocketPath(options.socket));
      const client = new SpiffeWorkloadAPIClient(
        channel.target,
        channel.credentials,
        channel.options,
      );
      const output = outputOf(command, context);
      try {
        // E-2: every request carries this header, which a browser cannot be made to send.
        const stream = client.fetchX509Svid({}, metadataOf({ 'workload.spiffe.io': 'true' }));
        context.stopped.addEventListener('abort', () => stream.cancel(), { once: true });
        for await (const message of messagesOf(`agent on ${options.socket}`, stream)) {
          output.show({ svids: message.svids.map(viewOf(message)) }, ({ svids }) =>
            tableOf(svids, context),
          );
          if (options.watch !== true) return;
        }
      } catch (error) {
        if (!context.stopped.aborted) throw unansweredOf(error, options.socket);
      } finally {
        client.close();
      }
    });
  withExamples(fetch, [
    ['signet svid fetch --socket /run/signet/agent.sock', 'which identity has this shell'],
    ['signet svid fetch --watch -o json', 'see it rotate'],
  ]);
  addExportCommands(svid, context, unansweredOf);
  addRevocationCommands(svid, context);
  return svid;
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

function viewOf(message: X509SVIDResponse): (svid: X509SVIDResponse['svids'][number]) => SvidView {
  return (svid) => {
    const chain = splitCertificates(svid.x509Svid).map(parseCertificate);
    const [leaf] = chain;
    if (leaf === undefined)
      throw new EndpointError('endpoint_socket', `an empty chain for ${svid.spiffeId}`);
    const roots = splitCertificates(svid.bundle).map(parseCertificate);
    return {
      spiffeId: svid.spiffeId,
      serial: leaf.serial,
      notBefore: new Date(leaf.notBeforeMs).toISOString(),
      notAfter: new Date(leaf.notAfterMs).toISOString(),
      chainLength: chain.length,
      rootKeyIds: roots.map((root) => toHex(keyIdOf(publicKeyOf(root)))),
      hint: svid.hint,
      ...(Object.keys(message.federatedBundles).length === 0
        ? {}
        : { federated: Object.keys(message.federatedBundles) }),
    };
  };
}

function tableOf(svids: readonly SvidView[], context: ProgramContext): string {
  const nowMs = context.clock.wallMs();
  return formatTable(
    ['SPIFFE ID', 'SERIAL', 'EXPIRES', 'ROOTS'],
    svids.map((svid) => [
      svid.spiffeId,
      svid.serial,
      formatRelative(svid.notAfter, nowMs),
      svid.rootKeyIds.map((id) => id.slice(0, 8)).join(' '),
    ]),
    'no identity',
  );
}
