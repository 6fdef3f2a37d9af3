/** `signet jwt`: tokens on an operator's word, and whether a token is good. */

import { Command } from 'commander';
import { CodedError, readText } from '../../core/index.ts';
import { bundleSetOf, parseBundle, parseTrustDomain, verifyJwtSvid } from '../../spiffe/index.ts';
import { adminOf, administering, answering, outputOf, withExamples } from '../options.ts';
import { formatFields } from '../output.ts';
import type { ProgramContext } from '../program-context.ts';
import { addJwtWorkloadCommands } from './jwt-workload.ts';

class JwtRefusedError extends CodedError {
  override readonly name = 'JwtRefusedError';
  override readonly kind = 'permission_denied';
}

interface MintOptions {
  readonly entry: string;
  readonly audience: readonly string[];
  readonly ttl?: string;
}

interface VerifyOptions {
  readonly bundle: string;
  readonly trustDomain: string;
  readonly audience: string;
}

export function jwtCommand(context: ProgramContext): Command {
  const jwt = new Command('jwt').description('JWT-SVIDs');

  withExamples(
    administering(jwt.command('mint'))
      .description('mint a token for an entry with no workload attested (audited); prints it')
      .requiredOption('--entry <id>', 'the registration entry')
      .requiredOption('--audience <name...>', 'who may accept it')
      .option('--ttl <seconds>', "its life, up to the CA's maximum")
      .action(async ({ entry, audience, ttl }: MintOptions, command: Command) => {
        const minted = await adminOf(command).mintJwt({
          entryId: entry,
          audience: [...audience],
          ...(ttl === undefined ? {} : { ttlSeconds: Number(ttl) }),
        });
        outputOf(command, context).show(minted, ({ token }) => `${token}\n`);
      }),
    [['signet jwt mint --entry 3f9a… --audience orders', 'a token of five minutes']],
  );

  withExamples(
    answering(jwt.command('verify <token>'))
      .description("verify a token against a trust domain's bundle; ends with 2 if it is refused")
      .requiredOption('--bundle <file>', 'a SPIFFE bundle document, as `signet bundle show` prints')
      .requiredOption('--trust-domain <name>', 'whose bundle that is')
      .requiredOption('--audience <name>', 'the name that must be among its audiences')
      .action(async (token: string, options: VerifyOptions, command: Command) => {
        const { bundle, trustDomain, audience } = options;
        const parsed = parseBundle(await readText(bundle), parseTrustDomain(trustDomain));
        const verdict = verifyJwtSvid({
          token,
          audience,
          bundles: bundleSetOf([parsed]),
          atMs: context.clock.wallMs(),
        });
        if (verdict.kind === 'refused') throw new JwtRefusedError(verdict.code, verdict.detail);
        const { id, expiresAtMs, claims } = verdict;
        const expiresAt = new Date(expiresAtMs).toISOString();
        outputOf(command, context).show({ spiffeId: id, expiresAt, claims }, (value) =>
          formatFields([
            ['SPIFFE ID', value.spiffeId],
            ['Audience', verdict.audience.join(' ')],
            ['Expires', value.expiresAt],
          ]),
        );
      }),
    [
      [
        'signet jwt verify --bundle bundle.json --trust-domain mesh.test --audience orders eyJ…',
        'what a service does with a token',
      ],
    ],
  );
  addJwtWorkloadCommands(jwt, context);
  return jwt;
}
