// The history in a named range or a zoom, in steps that suit it. Named ranges end where the data ends, so where that is has to
// be asked first.
import { type Range, type Span, spanOf, stepFor } from '../words/range';
import { HOUR_MS, stepLength } from '../words/time';
import * as calls from './calls';
import type { History } from './shapes';

export interface Wish {
  keys: string[];
  range: Range;
  zoom?: Span | undefined;
  /** Undefined: one that suits the range. */
  step?: string | undefined;
  zone: string;
}

export async function historyIn({ keys, range, zoom, step, zone: tz }: Wish, signal: AbortSignal): Promise<History> {
  const ask = (span: Span) => calls.history({ keys, ...span, step: step ?? stepFor(span), tz }, signal);
  if (zoom) return ask(zoom);
  const all = await calls.history({ keys, tz }, signal);
  const data = { from: Date.parse(all.from), to: Date.parse(all.to) };
  const span = spanOf(range, data, Date.now());
  const nothing = all.series.every(({ first }) => first === null);
  const suits = span.from === data.from && span.to === data.to && !step && !stepFor(span) && stepLength(all.step) < HOUR_MS;
  return nothing || suits ? all : ask(span);
}
