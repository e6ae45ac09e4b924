// The figures above a graph: one counter with its exact value at full size, or several as the graph's legend.
import { useEffect, useRef, useState } from 'preact/hooks';
import { Heading } from '../../parts/heading';
import type { Column } from '../../words/columns';
import { digits, sum } from '../../words/number';
import { interval, stepName } from '../../words/time';
import { type View, counterHref, viewHref } from '../../words/view';

export interface FiguresProps {
  view: View;
  keys: string[];
  columns: Column[];
  step: string;
  /** Null for a counter that does not exist, undefined before the first answer. */
  valueOf(key: string): bigint | null | undefined;
  live: boolean;
}

export function Single({ view, keys, columns, step, valueOf, live }: FiguresProps) {
  const key = view.keys[0]!;
  const value = valueOf(key);
  const amounts = keys[0] === key ? columns.map(({ values }) => values[0] ?? 0n) : [];
  const highest = amounts.reduce((best, amount, index) => (amount > (amounts[best] ?? 0n) ? index : best), 0);
  const peak = columns[highest];
  return (
    <header class="counter-head">
      <div class="counter-name">
        <Heading key={key} name={key} />
        <LiveMark live={live} />
      </div>
      <p class="counter-value" data-value={value?.toString()}>
        {value === undefined ? <span class="faint">…</span> : value === null ? <span class="faint">not there</span> : <Value value={value} />}
      </p>
      {value === null && <p class="faint">Nothing has been counted under this name yet. This page shows it as soon as it is.</p>}
      {amounts.length > 0 && peak && (
        <dl class="figures">
          <div><dt>In this range</dt><dd>{digits(sum(amounts))}</dd></div>
          <div><dt>Highest {stepName(step)}</dt><dd>{digits(amounts[highest]!)} <small>{amounts[highest]! > 0n && interval(peak.start, peak.end, view.zone)}</small></dd></div>
          <div><dt>Mean of each {stepName(step)}</dt><dd>{mean(amounts)}</dd></div>
        </dl>
      )}
    </header>
  );
}

export function Comparison({ view, keys, columns, valueOf, live }: FiguresProps) {
  return (
    <header class="counter-head">
      <div class="counter-name">
        <h1>{view.keys.length} counters</h1>
        <LiveMark live={live} />
      </div>
      <ul class="card legend" aria-label="Counters in the graph">
        {view.keys.map((key, line) => {
          const column = keys.indexOf(key);
          const value = valueOf(key);
          return (
            <li key={key}>
              <i class={`swatch series-${line + 1}`} />
              <a class="key" href={counterHref(key)}>{key}</a>
              <span class="legend-value" data-value={value?.toString()}>
                {value === undefined ? '…' : value === null ? 'not there' : <Value value={value} />}
              </span>
              <span class="legend-range faint">{column >= 0 && columns.length ? `${digits(sum(columns.map(({ values }) => values[column] ?? 0n)))} in this range` : ''}</span>
              <a
                class="button quiet"
                href={viewHref({ ...view, keys: view.keys.filter((other) => other !== key) })}
                aria-label={`Take ${key} out of the graph`}
              >
                ×
              </a>
            </li>
          );
        })}
      </ul>
    </header>
  );
}

/** The digits, which light up for a moment when they change. */
function Value({ value }: { value: bigint }) {
  const [changed, setChanged] = useState(false);
  const before = useRef(value);
  useEffect(() => {
    if (before.current === value) return;
    before.current = value;
    setChanged(true);
    const timer = setTimeout(() => setChanged(false), 600);
    return () => clearTimeout(timer);
  }, [value]);
  return <span class={changed ? 'value changed' : 'value'}>{digits(value)}</span>;
}

function LiveMark({ live }: { live: boolean }) {
  return <span class={live ? 'live on' : 'live'} role="status">{live ? 'live' : 'not live'}</span>;
}

function mean(amounts: bigint[]): string {
  const value = Number(sum(amounts)) / amounts.length;
  return new Intl.NumberFormat('en', { maximumFractionDigits: Math.abs(value) < 100 ? 1 : 0 }).format(value);
}
