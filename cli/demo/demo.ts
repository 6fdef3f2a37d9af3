/** `npm run demo`: a mesh whose keys rotate under live mTLS traffic, with nothing dropped. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { verifyAuditLog } from '../../ca/index.ts';
import { describeError, sleep, systemClock } from '../../core/index.ts';
import { createDisplay, type Display } from './display.ts';
import { type Load, type Route, startLoad } from './load.ts';
import { type Mesh, startMesh } from './mesh.ts';
import { observeSidecars, type Observer } from './observe.ts';
import { formatProof } from '../commands/rotation-proof.ts';
import { checkRotation } from './check-rotation.ts';
import { type ProvenRotation, rotateRoot } from './rotate-root.ts';
import { measure, scanForKeys } from './measure.ts';
import { type Measured, shortcomings } from './verdict.ts';

const command = new Command('demo')
  .description('certificates rotating under live mTLS traffic, nothing dropped')
  .option('--seconds <count>', 'how long traffic flows', atLeast(secondsMin()), 30)
  .option('--json', 'print one JSON object as the last line and nothing else on standard output')
  .option('--keep', 'leave the files of the run in place')
  .parse();
const options = command.opts<{ seconds: number; json?: boolean; keep?: boolean }>();
const directory = mkdtempSync(join(tmpdir(), 'signet-demo-'));
const json = options.json === true;
const display = createDisplay(
  (text) => void (json ? process.stderr : process.stdout).write(text),
  json ? process.stderr.isTTY : process.stdout.isTTY,
);

async function main(): Promise<number> {
  let mesh: Mesh | undefined;
  try {
    mesh = await startMesh(directory, (step) => display.step(`starting ${step}`));
    const interrupted = mesh;
    process.once(
      'SIGINT',
      () => void interrupted.controlPlane.stop().then(() => process.exit(130)),
    );
    const measured = await run(mesh);
    const missing = shortcomings(measured);
    report(measured, missing);
    if (missing.length > 0) display.step(`the files of the run are in ${directory}`);
    else if (options.keep !== true) rmSync(directory, { recursive: true });
    return missing.length === 0 ? 0 : 1;
  } catch (error) {
    process.stderr.write(
      `demo: ${describeError(error)}\ndemo: the files of the run are in ${directory}\n`,
    );
    return 1;
  } finally {
    await mesh?.controlPlane.stop();
  }
}

async function run(mesh: Mesh): Promise<Measured> {
  const observer = observeSidecars(mesh.sidecars);
  const load = startLoad(routesOf(mesh), keptPerRoute);
  display.step('traffic flows both ways, over kept and over new connections');
  const begun = systemClock.monotonicMs();
  const elapsedSeconds = (): number => Math.round((systemClock.monotonicMs() - begun) / 1000);

  const rotation: { begun?: Promise<ProvenRotation>; over: boolean } = { over: false };
  // The run ends when its time is up and the rotation is done, so that a slow machine still shows it whole.
  while (elapsedSeconds() < options.seconds || (rotation.begun !== undefined && !rotation.over)) {
    await sleep(systemClock, 1000);
    display.update(await stateOf(mesh, load, observer, elapsedSeconds()));
    if (rotation.begun === undefined && elapsedSeconds() >= options.seconds * rotationStart) {
      rotation.begun = rotateRoot(mesh.controlPlane, mesh.sidecars.length, (step) =>
        display.step(step),
      );
      const end = (): boolean => (rotation.over = true);
      rotation.begun.then(end, end);
    }
  }
  const proven = await rotation.begun;
  await load.stop();
  await observer.stop();
  display.end();
  const seconds = elapsedSeconds();
  const rootNow = (await mesh.controlPlane.admin.status()).activeRootId;
  const views = observer.views();
  // Files are searched when all who could write them have ended: what a program writes last counts, too. And
  // the log is read when nobody writes it any more, as an auditor would.
  await mesh.controlPlane.stop(mesh.witnesses);
  const scans = await scanForKeys(mesh);
  await mesh.controlPlane.stop();
  const audit = await verifyAuditLog({ directory: join(directory, 'ca', 'audit') });
  const faults =
    proven === undefined
      ? ['there was none']
      : await checkRotation(join(directory, 'ca', 'audit'), proven, mesh.sidecars.length);
  const shown = proven === undefined ? [] : formatProof(proven.proof).trimEnd().split('\n');
  for (const line of shown) display.step(line);
  for (const fault of faults) display.step(`rotation not proven: ${fault}`);
  const counts = load.counts();
  for (const failure of counts.failures) display.step(`failed: ${failure}`);
  for (const hit of scans.flatMap((scan) => scan.hits))
    display.step(`a key was found in ${hit.path}`);
  return measure({
    seconds,
    counts,
    views,
    scans,
    audit,
    rootRotations: proven !== undefined && proven.rootId === rootNow ? 1 : 0,
    rotationProven: faults.length === 0,
    sidecarsTrusting: proven?.trustedBy.acknowledged ?? 0,
    caStarts: mesh.controlPlane.children().filter((child) => child.name === 'ca').length,
  });
}

function report(measured: Measured, missing: readonly string[]): void {
  if (!json) {
    for (const [name, value] of Object.entries(measured)) display.step(`${name}: ${value}`);
  }
  for (const text of missing) process.stderr.write(`demo: ${text}\n`);
  if (json) process.stdout.write(`${JSON.stringify({ ...measured, ok: missing.length === 0 })}\n`);
  else if (missing.length === 0)
    display.step('every key was replaced while traffic flowed, and nothing was dropped');
}

async function stateOf(
  mesh: Mesh,
  load: Load,
  observer: Observer,
  elapsedSeconds: number,
): Promise<Parameters<Display['update']>[0]> {
  const ca = mesh.controlPlane.children().findLast((child) => child.name === 'ca');
  return {
    elapsedSeconds,
    totalSeconds: options.seconds,
    counts: load.counts(),
    sidecars: observer.views(),
    activeRoot: await activeRootOf(mesh),
    caPid: ca?.pid ?? 0,
  };
}

let lastRoot = '';

/** While the CA is down the last answer stands. */
async function activeRootOf(mesh: Mesh): Promise<string> {
  try {
    lastRoot = (await mesh.controlPlane.admin.status()).activeRootId;
  } catch (error) {
    if (!(error instanceof Error && error.name === 'AdminError')) throw error;
  }
  return lastRoot;
}

function routesOf(mesh: Mesh): Route[] {
  return mesh.sidecars.flatMap((from) =>
    mesh.sidecars
      .filter((to) => to !== from)
      .map((to) => ({
        name: `${from.name} → ${to.name}`,
        port: from.outboundPort,
        path: `/${to.name}`,
        service: to.name,
        peer: from.spiffeId,
      })),
  );
}

function atLeast(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least) {
      throw new InvalidArgumentError(`give a whole number of seconds, ${least} or more`);
    }
    return value;
  };
}

// Shorter than two lives of a certificate would show no rotation.
function secondsMin(): number {
  return 20;
}

// Early enough that the old root's last certificates (10 s) end within the default run.
const rotationStart = 0.2;
const keptPerRoute = 4;

process.exitCode = await main();
