/** Prints `N passed, N failed, N skipped` alone on the last line, which people and CI both read. */

import type { Reporter, TestModule } from 'vitest/node';

export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const count = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    const skipped: string[] = [];
    const flaky: string[] = [];
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state, errors } = test.result();
        count[state] += 1;
        const name = `${module.relativeModuleId} > ${test.fullName}`;
        if (state === 'skipped') skipped.push(name);
        if (test.diagnostic()?.flaky === true) flaky.push(`${name}: ${errors?.[0]?.message ?? ''}`);
      }
      // A file that cannot be loaded holds no test, yet it must not pass for one.
      if (module.state() === 'failed' && module.errors().length > 0) count.failed += 1;
    }
    // CI installs all that tests need, so that nothing is there left out: a skip means that its set-up is at fault.
    if (process.env['CI'] === 'true' && skipped.length > 0) {
      process.exitCode = 1;
      list('With CI=true nothing may be skipped, and these were', skipped);
    }
    if (flaky.length > 0) list('Failed at first and passed when tried again', flaky);
    process.stdout.write(
      `${count.passed} passed, ${count.failed} failed, ${count.skipped + count.pending} skipped\n`,
    );
  }
}

function list(title: string, names: readonly string[]): void {
  process.stdout.write(`${title}:\n${names.map((name) => `  ${name}\n`).join('')}`);
}
