// What a counter's page shows, as its address says it: /counter?key=…&key=…&range=week&from=&to=&step=&tz=&sum=running
import { href } from '../state/address';
import { type Range, type Span, isRange } from './range';
import { browserZone, instantOf, isStep, isZone, stamp } from './time';

export interface View {
  keys: string[];
  range: Range;
  /** Where one has zoomed to; instead of the range. */
  zoom: Span | undefined;
  /** Undefined: one that suits the range. */
  step: string | undefined;
  zone: string;
  /** The running total instead of each step's amount. */
  running: boolean;
}

/** As many graphs as there are colours to tell apart. */
export const MOST_KEYS = 8;

export function viewOf(query: URLSearchParams): View {
  const [from, to] = [instantOf(query.get('from')), instantOf(query.get('to'))];
  const [range, step, zone] = [query.get('range'), query.get('step'), query.get('tz')];
  return {
    keys: [...new Set(query.getAll('key'))].filter(Boolean).slice(0, MOST_KEYS),
    range: isRange(range) ? range : 'all',
    zoom: from !== undefined && to !== undefined && from < to ? { from, to } : undefined,
    step: step && isStep(step) ? step : undefined,
    zone: zone && isZone(zone) ? zone : browserZone(),
    running: query.get('sum') === 'running',
  };
}

/** With `pinned`, every choice stands in the address, also those that the reader's place would make again. */
export function viewHref(view: View, pinned = false): string {
  return href('/counter', [
    ...view.keys.map((key): [string, string] => ['key', key]),
    ['range', view.range === 'all' ? undefined : view.range],
    ['from', view.zoom && stamp(view.zoom.from)],
    ['to', view.zoom && stamp(view.zoom.to)],
    ['step', view.step],
    ['tz', view.zone === browserZone() && !pinned ? undefined : view.zone],
    ['sum', view.running ? 'running' : undefined],
  ]);
}

export const counterHref = (key: string): string => href('/counter', [['key', key]]);
