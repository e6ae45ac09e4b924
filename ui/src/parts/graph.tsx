// The graph of some counters: drawn by Plot, with a readout that follows mouse, finger and arrow keys.
// For assistive technology it is a slider over the steps; the table below it says the same in full.
import { useEffect, useRef, useState } from 'preact/hooks';
import { theme } from '../state/theme';
import { useSignal } from '../state/signal';
import type { Column } from '../words/columns';
import { digits } from '../words/number';
import { interval } from '../words/time';
import { Plot } from './plot';

export interface GraphProps {
  keys: string[];
  columns: Column[];
  span: { from: number; to: number };
  zone: string;
  running: boolean;
  busy: boolean;
  onZoom(from: number, to: number): void;
  onOut(): void;
  /** By how many of its own lengths to move the range. */
  onMove(lengths: number): void;
}

/** A bar that is thinner than this is better drawn as a line. */
const BAR_LEAST_PX = 2.5;

export function Graph(props: GraphProps) {
  const { keys, columns, span, zone, running, busy } = props;
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const [readout, setReadout] = useState<{ index: number; left: number; top: number } | null>(null);
  const [width, setWidth] = useState(0);
  const shown = useSignal(theme);
  const bars = keys.length === 1 && !running && width / Math.max(1, columns.length) >= BAR_LEAST_PX;

  useEffect(() => {
    const element = host.current!;
    const observer = new ResizeObserver(() => {
      setWidth(element.clientWidth);
      plot.current?.resize();
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    if (!width) return;
    const made = new Plot(host.current!, { inks: keys.map((_, line) => line + 1), bars, zone }, {
      cursor: (index, left, top) => setReadout(index === null ? null : { index, left, top }),
      zoom: (from, to) => latest.current.onZoom(from, to),
      out: () => latest.current.onOut(),
    });
    made.show(latest.current.columns, latest.current.span);
    plot.current = made;
    return () => {
      made.destroy();
      plot.current = null;
    };
  }, [width > 0, keys.length, bars, zone, shown]);

  useEffect(() => plot.current?.show(columns, span), [columns, span.from, span.to]);

  const column = readout ? columns[readout.index] : undefined;
  return (
    <div
      class="graph"
      role="slider"
      tabIndex={0}
      aria-label="Graph. Arrow keys move through the steps, plus and minus zoom, Page Up and Page Down move the range, Escape zooms out."
      aria-orientation="horizontal"
      aria-valuemin={0}
      aria-valuemax={Math.max(0, columns.length - 1)}
      aria-valuenow={readout?.index ?? 0}
      aria-valuetext={column ? spoken(column, keys, zone) : 'no step chosen'}
      aria-busy={busy}
      data-points={columns.length}
      onKeyDown={(event) => onKey(event, plot.current, readout?.index ?? null, props)}
    >
      <div class="graph-canvas" ref={host} />
      {readout && column && (
        <Readout column={column} keys={keys} zone={zone} left={readout.left} flipped={readout.left > width / 2} />
      )}
    </div>
  );
}

function Readout({ column, keys, zone, left, flipped }: {
  column: Column;
  keys: string[];
  zone: string;
  left: number;
  flipped: boolean;
}) {
  return (
    <div class={flipped ? 'readout flipped' : 'readout'} style={{ left: `${left}px` }} aria-hidden="true">
      <div class="readout-time">
        {interval(column.start, column.end, zone)}
        {!column.complete && <em> so far</em>}
      </div>
      {keys.map((key, line) => (
        <div class="readout-line" key={key}>
          <i class={`swatch series-${line + 1}`} />
          {keys.length > 1 && <span class="readout-key">{key}</span>}
          <b>{digits(column.values[line] ?? 0n)}</b>
        </div>
      ))}
    </div>
  );
}

const spoken = (column: Column, keys: string[], zone: string): string =>
  `${interval(column.start, column.end, zone)}: ${keys.map((key, line) => `${key} ${digits(column.values[line] ?? 0n)}`).join(', ')}`;

function onKey(event: KeyboardEvent, plot: Plot | null, index: number | null, { columns, span, ...props }: GraphProps): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const last = columns.length - 1;
  const point = (to: number) => plot?.point(Math.min(last, Math.max(0, to)));
  const keys: Record<string, () => void> = {
    ArrowRight: () => point(index === null ? 0 : index + 1),
    ArrowLeft: () => point(index === null ? last : index - 1),
    Home: () => point(0),
    End: () => point(last),
    PageUp: () => props.onMove(-0.5),
    PageDown: () => props.onMove(0.5),
    Escape: () => props.onOut(),
    '+': () => zoom(0.5),
    '=': () => zoom(0.5),
    '-': () => zoom(2),
  };
  const zoom = (factor: number) => {
    const column = index === null ? undefined : columns[index];
    const middle = column ? (column.start + column.end) / 2 : (span.from + span.to) / 2;
    const half = ((span.to - span.from) * factor) / 2;
    props.onZoom(middle - half, middle + half);
  };
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}
