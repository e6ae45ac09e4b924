// The first page: search, how the server is, and what it counts, by what the names begin with.
import * as calls from '../api/calls';
import type { Counter, Query, Status } from '../api/shapes';
import { Bars } from '../parts/bars';
import { Failed, Loading, Nothing } from '../parts/notice';
import { Search } from '../parts/search';
import { Spark } from '../parts/spark';
import { href } from '../state/address';
import { type Resource, useResource } from '../state/resource';
import { bytes, digits, exact, plural } from '../words/number';
import { duration } from '../words/time';
import { counterHref } from '../words/view';

const PREFIXES = 8;
const BARS = 5;

interface Group {
  prefix: string;
  query: Query;
}

export function HomePage() {
  const status = useResource((signal) => calls.status(signal), []);
  const groups = useResource(groupsOf, []);
  const alone = groups.data?.filter(({ query }) => query.matched === 1 && query.rows[0]?.key) ?? [];
  const many = groups.data?.filter(({ query }) => query.matched > 1) ?? [];
  return (
    <>
      <section class="hero">
        <h1>Find a counter</h1>
        <Search id="search" label="Find a counter" placeholder="A name, from its beginning: page:/…" large main />
      </section>
      {groups.problem && <Failed problem={groups.problem} again={groups.reload} />}
      {groups.loading && !groups.data && <Loading what="counters" />}
      {groups.data?.length === 0 && <Empty />}
      {alone.length > 0 && (
        <section class="tiles" aria-label="Single counters">
          {alone.map(({ query: { rows: [row] } }) => <Tile key={row!.key} counter={{ key: row!.key!, value: row!.value }} />)}
        </section>
      )}
      <div class="panels">
        {many.map((group) => <Panel key={group.prefix} {...group} />)}
      </div>
      <Service status={status} />
    </>
  );
}

async function groupsOf(signal: AbortSignal): Promise<Group[]> {
  const prefixes = await calls.prefixes(PREFIXES, signal);
  return Promise.all(
    prefixes.map(async (prefix) => {
      const match = prefix.endsWith(':') ? `${prefix}*` : prefix;
      return { prefix, query: await calls.largest({ match, limit: BARS }, signal) };
    }),
  );
}

function Tile({ counter: { key, value } }: { counter: Counter }) {
  return (
    <a class="card tile" href={counterHref(key)}>
      <span class="tile-name">{key}</span>
      <span class="tile-value">{digits(exact(value ?? 0))}</span>
      <Spark counter={key} />
    </a>
  );
}

function Panel({ prefix, query }: Group) {
  const bars = query.rows.map(({ key, group, value }) => ({ name: key ?? group ?? '', key, value: exact(value) }));
  return (
    <section class="card panel" aria-label={`Largest of ${prefix}`}>
      <header>
        <h2><a href={href('/largest', [['match', `${prefix}*`]])}>{prefix}*</a></h2>
        <span class="faint">{plural(query.matched, 'counter')}</span>
      </header>
      <Bars label={`Largest of ${prefix}`} bars={bars} prefix={prefix} />
      <footer><a href={href('/largest', [['match', `${prefix}*`]])}>All the largest<span class="visually-hidden"> of {prefix}</span> →</a></footer>
    </section>
  );
}

function Service({ status: { data, problem } }: { status: Resource<Status> }) {
  if (problem) return <Failed problem={problem} />;
  if (!data) return null;
  const figures: [name: string, value: string][] = [
    ['Counters', digits(exact(data.counters))],
    ['In memory', `${bytes(exact(data.hot.bytes))} of ${bytes(exact(data.hot.budget_bytes))}`],
    ['Journal', bytes(exact(data.journal.bytes))],
    ['Store', data.store],
    ['Acknowledged at', data.ack],
    ['Running for', duration(data.uptime_s)],
    ['Node', data.node],
    ['Version', data.version],
  ];
  return (
    <section class="card service" aria-label="Service">
      <header>
        <h2>Service</h2>
        <span class={data.ready ? 'good' : 'bad'}>{data.ready ? '✓ takes adds' : '✗ takes no adds now'}</span>
      </header>
      <dl class="figures">
        {figures.map(([name, value]) => (
          <div key={name}><dt>{name}</dt><dd>{value}</dd></div>
        ))}
      </dl>
    </section>
  );
}

function Empty() {
  return (
    <Nothing title="Nothing has been counted yet">
      <p>The first add makes the first counter:</p>
      <pre><code>tally add page_views:home</code></pre>
    </Nothing>
  );
}
