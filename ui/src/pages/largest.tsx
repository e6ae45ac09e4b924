// The largest counters of a namespace, or of any prefix, over all time or a range of it.
import * as calls from '../api/calls';
import type { Query } from '../api/shapes';
import { Bars } from '../parts/bars';
import { Choice } from '../parts/choice';
import { Failed, Loading, Nothing } from '../parts/notice';
import { go, href } from '../state/address';
import { useResource } from '../state/resource';
import { digits, exact, plural } from '../words/number';
import { RANGES, type Range, type Span, isRange, spanOf } from '../words/range';
import { browserZone, instantOf, interval, isZone, stamp } from '../words/time';
import { MOST_KEYS } from '../words/view';

const LIMITS = [10, 25, 50, 100];
const NAMES: Record<Range, string> = { hour: 'Hour', day: 'Day', week: 'Week', month: 'Month', all: 'All time' };
const SUGGESTIONS = 8;
/** How many of the largest say where the data ends. */
const SAMPLED = 5;

interface Ask {
  match: string;
  limit: number;
  range: Range;
  span: Span | undefined;
  zone: string;
}

interface Answer {
  query: Query;
  span: Span | undefined;
}

export function LargestPage({ query }: { query: URLSearchParams }) {
  const ask = askOf(query);
  const prefixes = useResource((signal) => calls.prefixes(SUGGESTIONS, signal), []);
  const patterns = (prefixes.data ?? []).filter((prefix) => prefix.endsWith(':')).map((prefix) => `${prefix}*`);
  return (
    <>
      <header class="title"><h1>Largest counters</h1></header>
      <Form ask={ask} key={ask.match} />
      {patterns.length > 0 && (
        <Choice
          label="Namespaces"
          options={patterns.map((match) => ({ name: match, chosen: ask.match === match, href: askHref({ ...ask, match }) }))}
        />
      )}
      {ask.match ? <Result ask={ask} /> : <Nothing title="Of which names?"><p>Choose one above, or type a pattern such as <code>page:*</code>.</p></Nothing>}
    </>
  );
}

function Form({ ask }: { ask: Ask }) {
  return (
    <form
      class="pattern"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        const match = new FormData(event.currentTarget).get('match');
        if (typeof match === 'string') go(askHref({ ...ask, match: match.trim() }));
      }}
    >
      <label class="visually-hidden" for="match">Names</label>
      <input id="match" name="match" type="text" defaultValue={ask.match} placeholder="page:*" autocomplete="off" autocapitalize="off" spellcheck={false} />
      <button type="submit" class="strong">Show</button>
    </form>
  );
}

function Result({ ask }: { ask: Ask }) {
  const { data, problem, loading, reload } = useResource((signal) => load(ask, signal), [askHref(ask)]);
  const rows = data?.query.rows ?? [];
  const keys = rows.flatMap(({ key }) => (key === undefined ? [] : [key]));
  const prefix = data?.query.match.replace(/\*$/, '') ?? '';
  return (
    <section class="card largest" aria-label="Largest counters" aria-busy={loading}>
      <div class="toolbar">
        <Choice label="Range" options={RANGES.map((range) => ({
          name: NAMES[range],
          chosen: !ask.span && ask.range === range,
          href: askHref({ ...ask, range, span: undefined }),
        }))} />
        <div class="toolbar-rest">
          <Choice label="How many" options={LIMITS.map((limit) => ({ name: String(limit), chosen: ask.limit === limit, href: askHref({ ...ask, limit }) }))} />
        </div>
      </div>
      {problem && <Failed problem={problem} again={reload} />}
      {!data && loading && <Loading what="the largest" />}
      {data && (
        <>
          <dl class="figures">
            <div><dt>Sum of all</dt><dd>{digits(exact(data.query.total))}</dd></div>
            <div><dt>Counters</dt><dd>{digits(data.query.matched)}</dd></div>
            <div><dt>Time</dt><dd>{data.span ? interval(data.span.from, data.span.to, ask.zone) : 'all time'}</dd></div>
          </dl>
          {!rows.length && <Nothing title="No counter matches"><p>Patterns begin like the names and end in <code>*</code>, such as <code>page:*</code>.</p></Nothing>}
          <Bars
            label={`Largest of ${data.query.match}`}
            bars={rows.map(({ key, group, value }) => ({ name: key ?? group ?? '', key, value: exact(value) }))}
            total={exact(data.query.total)}
            prefix={prefix}
          />
          <footer>
            <span class="faint">{plural(rows.length, 'counter')} of {digits(data.query.matched)}</span>
            {keys.length > 1 && (
              <a class="button" href={href('/counter', keys.slice(0, SAMPLED).map((key): [string, string] => ['key', key]))}>
                The first {Math.min(keys.length, SAMPLED, MOST_KEYS)} in one graph
              </a>
            )}
          </footer>
        </>
      )}
    </section>
  );
}

/** A named range ends where the data of the largest ends, so these are asked first. */
async function load({ match, limit, range, span, zone: tz }: Ask, signal: AbortSignal): Promise<Answer> {
  const ask = async (span?: Span) => ({ query: await calls.largest({ match, limit, ...span }, signal), span });
  if (span) return ask(span);
  const all = await ask();
  const keys = all.query.rows.flatMap(({ key }) => (key === undefined ? [] : [key])).slice(0, SAMPLED);
  if (range === 'all' || !keys.length) return all;
  const history = await calls.history({ keys, tz }, signal);
  return ask(spanOf(range, { from: Date.parse(history.from), to: Date.parse(history.to) }, Date.now()));
}

function askOf(query: URLSearchParams): Ask {
  const [from, to, range, zone] = [instantOf(query.get('from')), instantOf(query.get('to')), query.get('range'), query.get('tz')];
  const limit = Number(query.get('limit'));
  return {
    match: query.get('match') ?? '',
    limit: LIMITS.includes(limit) ? limit : LIMITS[0]!,
    range: isRange(range) ? range : 'all',
    span: from !== undefined && to !== undefined && from < to ? { from, to } : undefined,
    zone: zone && isZone(zone) ? zone : browserZone(),
  };
}

function askHref({ match, limit, range, span, zone }: Ask): string {
  return href('/largest', [
    ['match', match],
    ['limit', limit === LIMITS[0] ? undefined : String(limit)],
    ['range', range === 'all' ? undefined : range],
    ['from', span && stamp(span.from)],
    ['to', span && stamp(span.to)],
    ['tz', zone === browserZone() ? undefined : zone],
  ]);
}
