// The values of some counters, live while the page can be seen.
import { useEffect, useState } from 'preact/hooks';
import { watch } from '../api/watch';
import { exact } from '../words/number';

export interface Live {
  /** By key; null for a counter that does not exist. */
  values: ReadonlyMap<string, bigint | null>;
  connected: boolean;
  /** Grows with every change after the first answer. */
  changes: number;
}

export function useLive(keys: string[]): Live {
  const [live, setLive] = useState<Live>({ values: new Map(), connected: false, changes: 0 });
  const visible = useVisible();
  useEffect(() => {
    if (!visible || !keys.length) return;
    const abort = new AbortController();
    const watcher = {
      connected: (connected: boolean) => setLive((before) => ({ ...before, connected })),
      values: (counters: { key: string; value: string | number | null }[]) =>
        setLive((before) => {
          const values = new Map(before.values);
          let changes = before.changes;
          for (const { key, value } of counters) {
            const next = value === null ? null : exact(value);
            if (values.has(key) && values.get(key) !== next) changes += 1;
            values.set(key, next);
          }
          return { values, connected: true, changes };
        }),
    };
    void watch(keys, watcher, abort.signal);
    return () => abort.abort();
  }, [keys.join('\0'), visible]);
  return live;
}

export function useVisible(): boolean {
  const [visible, setVisible] = useState(!document.hidden);
  useEffect(() => {
    const follow = () => setVisible(!document.hidden);
    document.addEventListener('visibilitychange', follow);
    return () => document.removeEventListener('visibilitychange', follow);
  }, []);
  return visible;
}
