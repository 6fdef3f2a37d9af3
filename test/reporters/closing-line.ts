/** Prints `N passed, N failed, N skipped` alone on the last line, which people and CI both read. */

import type { Reporter, TestModule } from 'vitest/node';

export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const count = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    const skipped: string[] = [];
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        count[state] += 1;
        if (state === 'skipped') skipped.push(`${module.relativeModuleId} > ${test.fullName}`);
      }
      // A file that cannot be loaded holds no test, yet it must not pass for one.
      if (module.state() === 'failed' && module.errors().length > 0) count.failed += 1;
    }
    // CI installs all that tests need, so that nothing is there left out: a skip means that its set-up is at fault.
    if (process.env['CI'] === 'true' && skipped.length > 0) {
      process.exitCode = 1;
      const lines = skipped.map((name) => `  ${name}\n`).join('');
      process.stdout.write(`With CI=true nothing may be skipped, and these were:\n${lines}`);
    }
    process.stdout.write(
      `${count.passed} passed, ${count.failed} failed, ${count.skipped + count.pending} skipped\n`,
    );
  }
}
