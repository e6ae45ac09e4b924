// The calls the pages make, by name. Nothing is kept between calls.
import { get, post } from './client';
import type { Counters, Explanation, History, Integer, Ledger, Nodes, Query, Status, Verified } from './shapes';

export const status = (signal?: AbortSignal) => get<Status>('status', [], signal);

export const ledger = (signal?: AbortSignal) => get<Ledger>('ledger', [], signal);

export const nodes = (signal?: AbortSignal) => get<Nodes>('nodes', [], signal);

export const verified = (signal?: AbortSignal) => get<Verified>('verify', [], signal);

/** Asks for a pass over all sums that only looks; it has ended when the last one's number is at least the answer's. */
export const verify = () => post<{ number: Integer }>('verify', { repair: false });

export const explain = (key: string, signal?: AbortSignal) => get<Explanation>('explain', [['key', key]], signal);

/** Values in the order asked, null for a counter that does not exist. */
export const values = (keys: string[], signal?: AbortSignal) => post<Pick<Counters, 'counters'>>('get', { keys }, signal);

export function counters(prefix: string, after: string | undefined, limit: number, signal?: AbortSignal) {
  return get<Counters>('counters', [['prefix', prefix], ['after', after], ['limit', limit]], signal);
}

/** Times in Unix milliseconds. Without `from` and `to`: the range that has data. */
export interface HistoryAsk {
  keys: string[];
  from?: number | undefined;
  to?: number | undefined;
  step?: string | undefined;
  tz?: string | undefined;
}

export function history(ask: HistoryAsk, signal?: AbortSignal) {
  const keys = ask.keys.map((key): [string, string] => ['key', key]);
  return get<History>(
    'history',
    [...keys, ['from', ask.from], ['to', ask.to], ['step', ask.step], ['tz', ask.tz], ['fill', 'zero']],
    signal,
  );
}

export interface LargestAsk {
  match: string;
  limit: number;
  from?: number | undefined;
  to?: number | undefined;
}

export function largest(ask: LargestAsk, signal?: AbortSignal) {
  return get<Query>(
    'query',
    [['match', ask.match], ['agg', 'top'], ['limit', ask.limit], ['from', ask.from], ['to', ask.to]],
    signal,
  );
}

/**
 * The prefixes that names begin with, up to and with their first `:`, found by leaping from one to the next: one small call
 * each, so `most` bounds them. A name without `:` is its own.
 */
export async function prefixes(most: number, signal?: AbortSignal): Promise<string[]> {
  const found: string[] = [];
  let after: string | undefined;
  while (found.length < most) {
    const { counters: [next] } = await counters('', after, 1, signal);
    if (!next) break;
    const colon = next.key.indexOf(':');
    const prefix = colon < 0 ? next.key : next.key.slice(0, colon + 1);
    found.push(prefix);
    // `;` follows `:`, so that everything with this prefix lies before it.
    after = colon < 0 ? next.key : `${next.key.slice(0, colon)};`;
  }
  return found;
}
