// From the history's answer to what a graph and a table show: one column per step, exact values, one per counter.
import type { History } from '../api/shapes';
import { exact } from './number';

export interface Column {
  start: number;
  end: number;
  /** Whether the step is over. */
  complete: boolean;
  values: bigint[];
}

export function columnsOf(history: History): Column[] {
  const starts = history.series[0]?.points.map((point) => Date.parse(point.start)) ?? [];
  const end = Date.parse(history.to);
  return starts.map((start, index) => ({
    start,
    end: starts[index + 1] ?? end,
    complete: history.series.every((series) => series.points[index]?.complete ?? true),
    values: history.series.map((series) => exact(series.points[index]?.value ?? 0)),
  }));
}

/** Each column as the sum of all up to it. */
export function running(columns: Column[]): Column[] {
  const totals: bigint[] = [];
  return columns.map((column) => {
    const values = column.values.map((value, line) => (totals[line] = (totals[line] ?? 0n) + value));
    return { ...column, values };
  });
}

export const isEmpty = (columns: Column[]): boolean => columns.every(({ values }) => values.every((value) => value === 0n));
