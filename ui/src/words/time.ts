// Instants, zones and steps as people read them. Instants are Unix milliseconds.

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

export const browserZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';

export function isZone(name: string): boolean {
  try {
    Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(at: number, timeZone: string, options: Intl.DateTimeFormatOptions): string {
  const name = timeZone + JSON.stringify(options);
  let format = formats.get(name);
  if (!format) formats.set(name, (format = new Intl.DateTimeFormat('en-GB', { timeZone, ...options })));
  return format.format(at);
}

const DAY = { day: 'numeric', month: 'short', year: 'numeric' } as const;
const CLOCK = { hour: '2-digit', minute: '2-digit' } as const;

/** 17 May 2015, 10:05 */
export const instant = (at: number, zone: string): string => `${format(at, zone, DAY)}, ${format(at, zone, CLOCK)}`;

export const day = (at: number, zone: string): string => format(at, zone, DAY);

export const clock = (at: number, zone: string): string => format(at, zone, CLOCK);

/** 17 May 2015, 10:00 – 11:00; whole days without their clock. */
export function interval(from: number, to: number, zone: string): string {
  const midnight = (at: number) => clock(at, zone) === '00:00';
  if (midnight(from) && midnight(to)) {
    const last = day(to - 1, zone);
    return day(from, zone) === last ? last : `${day(from, zone)} – ${last}`;
  }
  const end = day(from, zone) === day(to - 1, zone) ? (midnight(to) ? '24:00' : clock(to, zone)) : instant(to, zone);
  return `${instant(from, zone)} – ${end}`;
}

/** 2015-05-17T10:05:00Z: short, exact, readable in an address. */
export const stamp = (at: number): string => new Date(at).toISOString().replace('.000Z', 'Z');

export function instantOf(text: string | null): number | undefined {
  if (!text) return undefined;
  const at = /^-?\d+$/.test(text) ? Number(text) : Date.parse(text);
  return Number.isFinite(at) ? at : undefined;
}

const UNITS: Record<string, [ms: number, one: string]> = {
  m: [MINUTE_MS, 'minute'],
  h: [HOUR_MS, 'hour'],
  d: [DAY_MS, 'day'],
  w: [7 * DAY_MS, 'week'],
  M: [30 * DAY_MS, 'month'],
};

const parts = (step: string) => /^(\d*)([mhdwM])$/.exec(step);

export const isStep = (text: string): boolean => parts(text) !== null;

/** About how long a step is; months vary. */
export function stepLength(step: string): number {
  const [, count, unit] = parts(step) ?? ['', '1', 'm'];
  return Number(count || 1) * UNITS[unit!]![0];
}

/** 15m as "15 minutes", 1h as "hour". */
export function stepName(step: string): string {
  const found = parts(step);
  if (!found) return step;
  const count = Number(found[1] || 1);
  const one = UNITS[found[2]!]![1];
  return count === 1 ? one : `${count} ${one}s`;
}

/** 1 d 3 h, 2 h 5 min, 40 s */
export function duration(seconds: number): string {
  const [d, h, m] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (d) return h ? `${d} d ${h} h` : `${d} d`;
  if (h) return m ? `${h} h ${m} min` : `${h} h`;
  return m ? `${m} min` : `${Math.floor(seconds)} s`;
}
