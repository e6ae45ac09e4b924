// Numbers as people read them. What is exact stays a BigInt from the wire to the page.
import type { Integer } from '../api/shapes';

const whole = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export const exact = (value: Integer): bigint => BigInt(value);

/** All digits, in groups: 2,747,282,505. */
export const digits = (value: bigint | number): string => whole.format(value);

/** For axes: 2.7B. */
export const compact = (value: number): string => short.format(value);

export const sum = (values: bigint[]): bigint => values.reduce((total, value) => total + value, 0n);

/** A part of a whole between 0 and 1, for drawing. */
export function share(part: bigint, of: bigint): number {
  if (of === 0n) return 0;
  return Math.min(1, Math.max(0, Number((part * 1_000_000n) / of) / 1_000_000));
}

export function percent(part: bigint, of: bigint): string {
  const value = share(part, of) * 100;
  if (part > 0n && value < 0.1) return '< 0.1 %';
  return `${value >= 99.95 || value === 0 ? value.toFixed(0) : value.toFixed(1)} %`;
}

export function bytes(value: bigint): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let amount = Number(value);
  let unit = 0;
  while (amount >= 1024 && unit < units.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return `${amount >= 100 || unit === 0 ? amount.toFixed(0) : amount.toFixed(1)} ${units[unit]}`;
}

export function plural(count: bigint | number, one: string, many = `${one}s`): string {
  return `${digits(count)} ${BigInt(count) === 1n ? one : many}`;
}
