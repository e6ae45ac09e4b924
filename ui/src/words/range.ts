// The named ranges of a graph and what they mean in instants. They end where the data ends, so that a counter that was last
// touched years ago still shows something; where the data reaches into the range before now, they end now.
import { DAY_MS, HOUR_MS, MINUTE_MS, stepLength } from './time';

export const RANGES = ['hour', 'day', 'week', 'month', 'all'] as const;
export type Range = (typeof RANGES)[number];

export interface Span {
  from: number;
  to: number;
}

const LENGTHS: Record<Exclude<Range, 'all'>, number> = { hour: HOUR_MS, day: DAY_MS, week: 7 * DAY_MS, month: 30 * DAY_MS };

export const isRange = (text: string | null): text is Range => RANGES.includes(text as Range);

export function spanOf(range: Range, data: Span, now: number): Span {
  if (range === 'all') return data.to - data.from < HOUR_MS ? hoursAround(data) : data;
  const length = LENGTHS[range];
  const minute = Math.ceil(now / MINUTE_MS) * MINUTE_MS;
  const to = data.to < now && now - data.to < length ? minute : data.to;
  return { from: to - length, to };
}

/** A single add makes no range; the hour it fell in does. */
const hoursAround = ({ from, to }: Span): Span => ({
  from: Math.floor(from / HOUR_MS) * HOUR_MS,
  to: Math.ceil(to / HOUR_MS) * HOUR_MS,
});

/** The steps one can ask for, finest first. */
export const STEPS = ['1m', '5m', '15m', '30m', '1h', '3h', '6h', '12h', '1d', '1w', '1M'];

/** As many points as a graph shows well: bars wide enough to see, also on a phone. */
const MOST_POINTS = 124;

/** More than this the server would not answer, nor anyone read. */
const MOST_POINTS_ON_WISH = 1_500;

/**
 * The step that suits a span: from a day on, hours or more. Undefined for shorter ones: minutes are kept for a while only, so
 * there the server chooses, which knows what it still has.
 */
export function stepFor({ from, to }: Span): string | undefined {
  if (to - from < DAY_MS) return undefined;
  return STEPS.find((step) => stepLength(step) >= HOUR_MS && (to - from) / stepLength(step) <= MOST_POINTS) ?? STEPS.at(-1);
}

const LATEST = Date.UTC(9999, 0);

/** Whole minutes, at least two of them, within what the server takes. */
export function tidySpan(from: number, to: number): Span {
  const start = Math.max(0, Math.floor(from / MINUTE_MS) * MINUTE_MS);
  const end = Math.min(LATEST, Math.ceil(to / MINUTE_MS) * MINUTE_MS);
  return { from: start, to: Math.max(end, start + 2 * MINUTE_MS) };
}

export const stepsFor = ({ from, to }: Span): string[] =>
  STEPS.filter((step) => (to - from) / stepLength(step) <= MOST_POINTS_ON_WISH && stepLength(step) <= to - from);
