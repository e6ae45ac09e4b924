// The drawing: uPlot with Tally's looks, dragging by mouse, pen or finger. Knows nothing of pages or addresses.
import uPlot from 'uplot';
import { compact } from '../words/number';
import type { Column } from '../words/columns';

export interface Look {
  /** Which of the theme's colours each line has. */
  inks: number[];
  bars: boolean;
  zone: string;
}

export interface Follower {
  /** Which column the cursor is on, and where that is in the drawing. */
  cursor(index: number | null, left: number, top: number): void;
  zoom(from: number, to: number): void;
  out(): void;
}

const DRAG_LEAST_PX = 5;
const SECOND_MS = 1000;

/** Whole numbers only: counts have no halves. */
const INCREMENTS = Array.from({ length: 30 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();

/** From each tick size on: the label, and what is added below it where a year or a day begins. */
const TIMES: uPlot.Axis.Values = [
  [31_536_000, '{YYYY}', null, null, null, null, null, null, 1],
  [2_419_200, '{MMM}', '\n{YYYY}', null, null, null, null, null, 1],
  [86_400, '{D} {MMM}', '\n{YYYY}', null, null, null, null, null, 1],
  [60, '{HH}:{mm}', '\n{D} {MMM} {YYYY}', null, '\n{D} {MMM}', null, null, null, 1],
];

export class Plot {
  private readonly chart: uPlot;
  private readonly band = document.createElement('div');
  private columns: Column[] = [];
  private span = { from: 0, to: 1 };

  constructor(
    private readonly host: HTMLElement,
    private readonly look: Look,
    private readonly follower: Follower,
  ) {
    this.chart = new uPlot(this.options(), [[], ...look.inks.map(() => [])] as unknown as uPlot.AlignedData, host);
    this.band.className = 'graph-band';
    this.chart.over.prepend(this.band);
    this.follow(this.chart.over);
  }

  show(columns: Column[], span: { from: number; to: number }): void {
    this.columns = columns;
    this.span = span;
    const middles = columns.map(({ start, end }) => (start + end) / 2 / SECOND_MS);
    const lines = this.look.inks.map((_, line) => columns.map(({ values }) => Number(values[line] ?? 0n)));
    this.chart.setData([middles, ...lines] as uPlot.AlignedData);
  }

  resize(): void {
    const { width, height } = this.size();
    if (width > 0 && (width !== this.chart.width || height !== this.chart.height)) this.chart.setSize({ width, height });
  }

  /** Puts the cursor on a column, as the arrow keys do. */
  point(index: number): void {
    const column = this.columns[index];
    if (!column) return;
    const left = this.chart.valToPos((column.start + column.end) / 2 / SECOND_MS, 'x');
    this.chart.setCursor({ left, top: this.chart.over.clientHeight / 3 });
  }

  destroy(): void {
    this.chart.destroy();
  }

  private size(): { width: number; height: number } {
    return { width: this.host.clientWidth, height: this.host.clientHeight };
  }

  private options(): uPlot.Options {
    const { inks, bars, zone } = this.look;
    const [ink2, line] = [this.ink('--ink-2'), this.ink('--line')];
    const font = `12px ${getComputedStyle(this.host).fontFamily}`;
    return {
      ...this.size(),
      padding: [12, 26, 0, 0],
      tzDate: (at) => uPlot.tzDate(new Date(at * SECOND_MS), zone),
      legend: { show: false },
      cursor: {
        x: !bars,
        y: false,
        drag: { x: false, y: false, setScale: false },
        points: { show: !bars, size: 9, width: 2, stroke: () => this.ink('--card'), fill: (_, line) => this.colour(line - 1) },
        bind: { dblclick: () => () => (this.follower.out(), null) },
      },
      scales: {
        x: { time: true, range: () => [this.span.from / SECOND_MS, this.span.to / SECOND_MS] },
        y: { range: (_, least, most) => heights(least, most) },
      },
      axes: [
        { stroke: ink2, font, grid: { show: false }, ticks: { stroke: line, size: 5 }, values: TIMES, space: 72, size: 44 },
        {
          stroke: ink2,
          font,
          grid: { stroke: line, width: 1 },
          ticks: { show: false },
          incrs: INCREMENTS,
          space: 44,
          values: (_, splits) => splits.map(compact),
          size: (chart, values) => widest(chart, values, font) + 16,
        },
      ],
      series: [{}, ...inks.map((_, line) => this.series(line))],
      hooks: { setCursor: [(chart) => this.moved(chart)] },
    };
  }

  private series(line: number): uPlot.Series {
    const colour = this.colour(line);
    if (this.look.bars) {
      const paths = uPlot.paths.bars!({ size: [0.82, 56, 1], radius: [0.22, 0] });
      return { paths, fill: colour, stroke: colour, width: 0, points: { show: false } };
    }
    const alone = this.look.inks.length === 1;
    return {
      paths: uPlot.paths.spline!(),
      stroke: colour,
      width: 2,
      points: { show: false },
      fill: (chart) => shade(chart, colour, alone ? 0.34 : 0.12),
    };
  }

  private colour(line: number): string {
    return this.ink(`--series-${this.look.inks[line] ?? 0}`);
  }

  /** A colour of the theme as the canvas wants it: resolved, for the theme that is shown. */
  private ink(property: string): string {
    const probe = document.createElement('i');
    probe.style.color = `var(${property})`;
    this.host.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  }

  private moved(chart: uPlot): void {
    const index = chart.cursor.idx ?? null;
    const column = index === null || (chart.cursor.left ?? -1) < 0 ? undefined : this.columns[index];
    this.band.hidden = !column || !this.look.bars;
    if (!column || index === null) return this.follower.cursor(null, 0, 0);
    const left = chart.valToPos(column.start / SECOND_MS, 'x');
    const right = chart.valToPos(column.end / SECOND_MS, 'x');
    this.band.style.left = `${left}px`;
    this.band.style.width = `${right - left}px`;
    this.follower.cursor(index, chart.over.offsetLeft + (left + right) / 2, chart.cursor.top ?? 0);
  }

  /** Dragging selects a range; what is let go becomes the zoom. */
  private follow(over: HTMLElement): void {
    let begin: number | null = null;
    const place = (event: PointerEvent) => Math.min(over.clientWidth, Math.max(0, event.clientX - over.getBoundingClientRect().left));
    const select = (left: number, width: number) => this.chart.setSelect({ left, width, top: 0, height: over.clientHeight }, false);

    over.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      begin = place(event);
      over.setPointerCapture(event.pointerId);
    });
    over.addEventListener('pointermove', (event) => {
      const now = place(event);
      if (event.pointerType !== 'mouse') this.chart.setCursor({ left: now, top: 40 });
      if (begin !== null) select(Math.min(begin, now), Math.abs(now - begin));
    });
    over.addEventListener('pointerup', (event) => {
      const [first, last] = [begin, place(event)];
      begin = null;
      select(0, 0);
      if (first === null || Math.abs(last - first) < DRAG_LEAST_PX) return;
      const at = (left: number) => this.chart.posToVal(left, 'x') * SECOND_MS;
      this.follower.zoom(at(Math.min(first, last)), at(Math.max(first, last)));
    });
    over.addEventListener('pointercancel', () => {
      begin = null;
      select(0, 0);
    });
  }
}

/** Zero is always in view, with some air beyond the extremes. */
function heights(least: number | null, most: number | null): [number, number] {
  const [low, high] = [Math.min(0, least ?? 0), Math.max(0, most ?? 0)];
  if (low === high) return [0, 1];
  const air = (high - low) * 0.08;
  return [low < 0 ? low - air : 0, high > 0 ? high + air : 0];
}

function widest(chart: uPlot, values: (string | number | null)[] | null, font: string): number {
  chart.ctx.save();
  chart.ctx.font = font;
  const widths = (values ?? []).map((value) => chart.ctx.measureText(String(value ?? '')).width);
  chart.ctx.restore();
  return Math.ceil(Math.max(16, ...widths));
}

/** From the colour to nothing, downwards. */
function shade(chart: uPlot, colour: string, strength: number): CanvasGradient {
  const { top, height } = chart.bbox;
  const gradient = chart.ctx.createLinearGradient(0, top, 0, top + (height || 1));
  const at = (alpha: number) => colour.replace('rgb(', 'rgba(').replace(')', `, ${alpha})`);
  gradient.addColorStop(0, at(strength));
  gradient.addColorStop(1, at(0.01));
  return gradient;
}
