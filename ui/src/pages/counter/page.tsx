// The page of one counter, or of several in one graph. It opens on the range that has data and follows the values live.
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { historyIn } from '../../api/history-in';
import { Graph } from '../../parts/graph';
import { Failed, Loading, Nothing } from '../../parts/notice';
import { Search } from '../../parts/search';
import { go, href } from '../../state/address';
import { useLive, useVisible } from '../../state/live';
import { useResource } from '../../state/resource';
import { columnsOf, isEmpty, running } from '../../words/columns';
import { exact } from '../../words/number';
import { tidySpan } from '../../words/range';
import { interval, stepName } from '../../words/time';
import { MOST_KEYS, type View, viewHref } from '../../words/view';
import { Comparison, Single } from './figures';
import { StepTable } from './step-table';
import { Toolbar } from './toolbar';

/** After a change the graph follows this fast, and no faster. */
const FOLLOW_MS = 1_000;
/** Without a change it is asked for again at this pace: the range itself moves on. */
const REFRESH_MS = 30_000;

export function CounterPage({ view }: { view: View }) {
  if (!view.keys.length) {
    return <Nothing whole title="Which counter?"><p>Find one above, or <a href="/counters">look through all</a>.</p></Nothing>;
  }
  return <Counters view={view} />;
}

function Counters({ view }: { view: View }) {
  const live = useLive(view.keys);
  const { data, problem, loading, reload } = useResource((signal) => historyIn(view, signal), [viewHref(view)]);
  useRefresh(reload, live.changes);

  const columns = useMemo(() => (data ? columnsOf(data) : []), [data]);
  const drawn = useMemo(() => (view.running ? running(columns) : columns), [columns, view.running]);
  const span = data && { from: Date.parse(data.from), to: Date.parse(data.to) };
  const shownKeys = data?.series.map(({ key }) => key) ?? view.keys;

  const show = (change: Partial<View>) => go(viewHref({ ...view, ...change }));
  const zoom = (from: number, to: number) => show({ zoom: tidySpan(from, to), step: undefined });
  const move = (lengths: number) => {
    if (!span) return;
    const by = lengths * (span.to - span.from);
    show({ zoom: tidySpan(span.from + by, span.to + by) });
  };
  const valueOf = (key: string) => {
    if (live.values.has(key)) return live.values.get(key);
    const total = data?.series.find((series) => series.key === key)?.total;
    return typeof total === 'string' || typeof total === 'number' ? exact(total) : undefined;
  };
  const parts = { view, columns, keys: shownKeys, step: data?.step ?? '', valueOf, live: live.connected };

  return (
    <>
      {view.keys.length === 1 ? <Single {...parts} /> : <Comparison {...parts} />}
      <section class="card graph-card" aria-label="History">
        <Toolbar view={view} span={span} step={data?.step} onMove={move} />
        {problem && <Failed problem={problem} again={reload} />}
        {!data && !problem && <div class="graph-place"><Loading what="the history" /></div>}
        {data && span && (
          <>
            <div class="graph-frame">
              <Graph
                keys={shownKeys}
                columns={drawn}
                span={span}
                zone={view.zone}
                running={view.running}
                busy={loading}
                onZoom={zoom}
                onOut={() => show({ zoom: undefined, step: undefined })}
                onMove={move}
              />
              {isEmpty(columns) && <EmptyRange view={view} />}
            </div>
            <p class="caption">
              <span>{interval(span.from, span.to, view.zone)}</span>
              <span>each {stepName(data.step)}{view.running && ', added up'}</span>
              <span>{view.zone}</span>
              <a href={viewHref({ ...view, zoom: span, step: data.step }, true)}>Link to exactly this</a>
            </p>
          </>
        )}
      </section>
      <section class="add-counter" aria-label="Compare">
        {view.keys.length < MOST_KEYS ? (
          <Search
            id="compare"
            label="Add a counter to the graph"
            placeholder="Add a counter to the graph"
            onChoose={(key) => show({ keys: [...new Set([...view.keys, key])] })}
          />
        ) : (
          <p class="faint">{MOST_KEYS} counters fit into one graph.</p>
        )}
        {view.keys.length === 1 && <a class="button" href={href('/explain', [['key', view.keys[0]]])}>Explain this value</a>}
      </section>
      {data && columns.length > 0 && <StepTable keys={shownKeys} columns={drawn} zone={view.zone} step={data.step} running={view.running} />}
    </>
  );
}

/** Loads again soon after a change, and now and then, while the page can be seen. */
function useRefresh(reload: () => void, changes: number): void {
  const visible = useVisible();
  const waiting = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => {
    if (!changes || waiting.current) return;
    waiting.current = setTimeout(() => {
      waiting.current = undefined;
      reload();
    }, FOLLOW_MS);
  }, [changes]);
  useEffect(() => () => clearTimeout(waiting.current), []);
  useEffect(() => {
    if (!visible) return;
    const timer = setInterval(reload, REFRESH_MS);
    return () => clearInterval(timer);
  }, [visible]);
}

function EmptyRange({ view }: { view: View }) {
  const whole = viewHref({ ...view, zoom: undefined, range: 'all', step: undefined });
  const everything = !view.zoom && view.range === 'all';
  return (
    <div class="graph-empty">
      <p>{everything ? 'No history yet.' : 'Nothing was counted in this range.'}</p>
      {!everything && <a href={whole}>Show where there is data</a>}
    </div>
  );
}
