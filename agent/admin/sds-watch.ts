/** `/v1/sds/watch`: every change of an SDS client as one line of JSON, for as long as somebody reads. */

import type { ServerResponse } from 'node:http';
import { AdminError, type SdsClientView, type SdsEventView } from '../../api/index.ts';
import { describeError, type Logger } from '../../core/index.ts';
import type { AgentSources } from './agent-sources.ts';
import { clientView } from './sds-view.ts';
import { timeText } from './status-view.ts';

export class SdsWatchers {
  readonly #sources: AgentSources;
  readonly #log: Logger;
  #count = 0;

  constructor(sources: AgentSources, log: Logger) {
    this.#sources = sources;
    this.#log = log;
  }

  /** Resolves when the reader has gone. Throws {@link AdminError} if there are too many. */
  async serve(response: ServerResponse, gone: AbortSignal): Promise<void> {
    if (this.#count >= watchersMax) {
      throw new AdminError(
        'resource_exhausted',
        'watchers_many',
        `${watchersMax} watch already, and no more are taken`,
      );
    }
    this.#count += 1;
    try {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' });
      response.flushHeaders();
      await new WatchSession(this.#sources, response, gone).run();
    } catch (error) {
      if (!gone.aborted) this.#log.warn('a watcher was left', { reason: describeError(error) });
      response.destroy();
    } finally {
      this.#count -= 1;
    }
  }
}

class WatchSession {
  readonly #sources: AgentSources;
  readonly #response: ServerResponse;
  readonly #gone: AbortSignal;
  /** What the reader was told of each stream that is there. */
  readonly #told = new Map<string, SdsClientView>();
  /** Streams that have changed since they were told of: a burst of changes is one line. */
  readonly #changed = new Set<string>();
  #wake: () => void = () => {};

  constructor(sources: AgentSources, response: ServerResponse, gone: AbortSignal) {
    this.#sources = sources;
    this.#response = response;
    this.#gone = gone;
  }

  async run(): Promise<void> {
    const { clients } = this.#sources.sds;
    const stop = clients.subscribe((streamId) => {
      this.#changed.add(streamId);
      this.#wake();
    });
    const wake = (): void => this.#wake();
    this.#gone.addEventListener('abort', wake, { once: true });
    try {
      for (const { streamId } of clients.snapshot()) this.#changed.add(streamId);
      while (!this.#gone.aborted) {
        for (const streamId of Array.from(this.#changed)) {
          this.#changed.delete(streamId);
          await this.#tell(streamId);
          if (this.#gone.aborted) return;
        }
        await this.#next();
      }
    } finally {
      stop();
      this.#gone.removeEventListener('abort', wake);
    }
  }

  async #next(): Promise<void> {
    if (this.#changed.size > 0 || this.#gone.aborted) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = () => {};
  }

  async #tell(streamId: string): Promise<void> {
    const client = this.#sources.sds.clients.get(streamId);
    const before = this.#told.get(streamId);
    if (client === undefined) {
      this.#told.delete(streamId);
      if (before !== undefined) await this.#write('closed', before);
      return;
    }
    const view = await clientView(client, this.#sources);
    if (before !== undefined && JSON.stringify(before) === JSON.stringify(view)) return;
    this.#told.set(streamId, view);
    await this.#write(before === undefined ? 'opened' : 'changed', view);
  }

  /** Waits for a reader that is slow: what happens meanwhile is told once, as it stands then. */
  async #write(kind: SdsEventView['kind'], client: SdsClientView): Promise<void> {
    const at = timeText(this.#sources.clock.wallMs());
    const event: SdsEventView = { at, kind, client };
    if (this.#response.write(`${JSON.stringify(event)}\n`) || this.#gone.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#response.off('drain', done);
        this.#gone.removeEventListener('abort', done);
        resolve();
      };
      this.#response.once('drain', done);
      this.#gone.addEventListener('abort', done, { once: true });
    });
  }
}

// Each is an operator who looks on.
const watchersMax = 8;
