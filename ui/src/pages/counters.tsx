// The counters whose names begin with a prefix, in name order, page by page.
import { useState } from 'preact/hooks';
import * as calls from '../api/calls';
import type { Counter } from '../api/shapes';
import { Failed, Loading, Nothing } from '../parts/notice';
import { href } from '../state/address';
import { useResource } from '../state/resource';
import { digits, exact, plural } from '../words/number';
import { counterHref } from '../words/view';

const PAGE = 100;

export function CountersPage({ prefix }: { prefix: string }) {
  const [after, setAfter] = useState<string>();
  const [before, setBefore] = useState<Counter[]>([]);
  const { data, problem, loading, reload } = useResource(
    (signal) => calls.counters(prefix, after, PAGE, signal),
    [prefix, after],
  );
  const shown = [...before, ...(data?.counters ?? [])];
  const more = () => {
    setBefore(shown);
    setAfter(data!.next!);
  };
  return (
    <>
      <header class="title">
        <h1>{prefix ? <>Counters that begin with <span class="key">{prefix}</span></> : 'Counters'}</h1>
        {prefix && <a class="button" href={href('/largest', [['match', `${prefix}*`]])}>The largest of them</a>}
      </header>
      {problem && <Failed problem={problem} again={reload} />}
      {!data && loading && <Loading what="counters" />}
      {data && !shown.length && (
        <Nothing title="There is no such counter">
          <p>Names are found from their beginning, and capitals matter. <a href="/counters">Show all</a></p>
        </Nothing>
      )}
      {shown.length > 0 && (
        <section class="card names" aria-label="Counters">
          <ul>
            {shown.map(({ key, value }) => (
              <li key={key}>
                <a href={counterHref(key)}>{key}</a>
                <span>{value === null ? '' : digits(exact(value))}</span>
              </li>
            ))}
          </ul>
          <footer>
            <span class="faint" role="status">{plural(shown.length, 'counter')}{data?.next ? ' so far' : ''}</span>
            {data?.next && <button type="button" disabled={loading} onClick={more}>Show more</button>}
          </footer>
        </section>
      )}
    </>
  );
}
