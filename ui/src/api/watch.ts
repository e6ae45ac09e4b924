// Values as they change: server-sent events read from a fetch, because an EventSource cannot carry a token.
// Goes on for as long as the signal lets it, connecting again after a pause that doubles up to a bound.
import { Problem, address, exactJson, request } from './client';
import type { Counter } from './shapes';

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

export interface Watcher {
  values(counters: Counter[]): void;
  connected(yes: boolean): void;
}

export async function watch(keys: string[], watcher: Watcher, signal: AbortSignal): Promise<void> {
  let pause_ms = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    try {
      const url = address('watch', [...keys.map((key): [string, string] => ['key', key]), ['int64', 'string']]);
      const response = await request(url, { signal, headers: { accept: 'text/event-stream' } });
      watcher.connected(true);
      for await (const data of messages(response)) {
        pause_ms = FIRST_PAUSE_MS;
        watcher.values((exactJson(data) as { counters: Counter[] }).counters);
      }
    } catch (error) {
      if (signal.aborted) return;
      // What the server refuses it would refuse again; all else is worth another try.
      if (error instanceof Problem && error.status >= 400 && error.status < 500 && error.status !== 429) return;
    }
    if (signal.aborted) return;
    watcher.connected(false);
    await new Promise((resume) => setTimeout(resume, pause_ms));
    pause_ms = Math.min(pause_ms * 2, LONGEST_PAUSE_MS);
  }
}

/** The data of each `values` event. */
async function* messages(response: Response): AsyncGenerator<string> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split(/\r?\n\r?\n/);
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const lines = block.split(/\r?\n/);
      const event = lines.find((line) => line.startsWith('event:'))?.slice(6).trim();
      const data = lines.filter((line) => line.startsWith('data:')).map((line) => line.slice(5).trimStart());
      if (event === 'values' && data.length) yield data.join('\n');
    }
  }
}
