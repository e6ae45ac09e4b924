// Counters side by side by size: a list in which each row has a bar as long as its share of the largest.
import { counterHref } from '../words/view';
import { digits, percent, share } from '../words/number';

export interface Bar {
  name: string;
  /** The counter that the name links to, where it is one. */
  key?: string | undefined;
  value: bigint;
}

export interface BarsProps {
  label: string;
  bars: Bar[];
  /** What the percentages are of; none without. */
  total?: bigint;
  /** What all names begin with, said once elsewhere. */
  prefix?: string;
}

export function Bars({ label, bars, total, prefix = '' }: BarsProps) {
  const largest = bars.reduce((most, { value }) => (value > most ? value : most), 0n);
  return (
    <ol class={total === undefined ? 'bars' : 'bars with-share'} aria-label={label}>
      {bars.map(({ name, key, value }) => (
        <li key={name}>
          <svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">
            <rect width={Math.max(value > 0n ? 3 : 0, share(value, largest) * 1000)} height="10" />
          </svg>
          <span class="bar-name">{key === undefined ? name : <a href={counterHref(key)}>{short(name, prefix)}</a>}</span>
          <span class="bar-value">{digits(value)}</span>
          {total !== undefined && <span class="bar-share">{percent(value, total)}</span>}
        </li>
      ))}
    </ol>
  );
}

const short = (name: string, prefix: string): string =>
  prefix && name.startsWith(prefix) && name.length > prefix.length ? name.slice(prefix.length) : name;
