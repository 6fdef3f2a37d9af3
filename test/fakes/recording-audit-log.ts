/** An audit log that keeps its events in memory, and can be told to fail. */

import type { Appended, AuditLog } from '../../ca/audit/audit-log.ts';
import { AuditError } from '../../ca/audit/audit-error.ts';
import type { AuditEvent, AuditEventType } from '../../ca/audit/event.ts';

export class RecordingAuditLog implements AuditLog {
  readonly events: AuditEvent[] = [];
  failing = false;
  /** Called with each event after it is recorded and before its append resolves. */
  onAppend: (event: AuditEvent) => void = () => {};

  async append(event: AuditEvent): Promise<Appended> {
    if (this.failing) throw new AuditError('audit_write_failed', 'the audit log is failing');
    this.events.push(event);
    this.onAppend(event);
    return { index: this.events.length - 1, leafHash: new Uint8Array(32) };
  }

  types(): readonly AuditEventType[] {
    return this.events.map(({ type }) => type);
  }

  size(): number {
    return this.events.length;
  }

  rootHash(): Uint8Array {
    return new Uint8Array(32);
  }

  async close(): Promise<void> {}
}
