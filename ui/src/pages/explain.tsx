// Everything behind a number, as `explain` says it, with both sums done again: the value, and its history by step.
import type { ComponentChildren } from 'preact';
import * as calls from '../api/calls';
import type { Cell, Explanation, Integer } from '../api/shapes';
import { Heading } from '../parts/heading';
import { Failed, Loading, Nothing } from '../parts/notice';
import { useResource } from '../state/resource';
import { digits, exact, sum } from '../words/number';
import { browserZone, instant, stepName } from '../words/time';
import { counterHref } from '../words/view';

const figure = (value: Integer): string => digits(exact(value));

export function ExplainPage({ counter }: { counter: string }) {
  const { data, problem, reload } = useResource((signal) => calls.explain(counter, signal), [counter]);
  if (!counter) return <Nothing whole title="Explain which counter?"><p>Find one above; its page leads here.</p></Nothing>;
  return (
    <>
      <header class="title">
        <div>
          <p class="lead">Explain</p>
          <Heading name={counter}><a href={counterHref(counter)}>{counter}</a></Heading>
        </div>
        <button type="button" onClick={reload}>Refresh</button>
      </header>
      {problem && <Failed problem={problem} again={reload} />}
      {!data && !problem && <Loading what="the explanation" />}
      {data && <Explained data={data} />}
    </>
  );
}

function Explained({ data }: { data: Explanation }) {
  return (
    <>
      <Value data={data} />
      <Part title="Cells" none="No cell is in the store." note="What each writer has counted, up to its position.">
        {data.cells.length > 0 && (
          <Table
            label="Cells"
            head={['Writer', 'Life', 'Set', 'Position', 'Total', 'Counted', 'In the value']}
            rows={data.cells.map((cell) => [
              figure(cell.writer), figure(cell.life), figure(cell.n), figure(cell.position), figure(cell.total), figure(cell.counted),
              isCounted(cell, data) ? <span class="good">✓ yes</span> : <span class="faint">no</span>,
            ])}
          />
        )}
      </Part>
      <Part title="Writers" none="No writer has counted into it." note="The logs the cells come from.">
        {data.writers.length > 0 && (
          <Table
            label="Writers"
            head={['Log', 'Writer', 'State', 'Epoch', 'Applied', 'Pending']}
            rows={data.writers.map(({ number, id, epoch, state, applied, pending }) => [
              <span class="key">{id}</span>, figure(number), <span class={`state ${state}`}>{state}</span>, figure(epoch),
              figure(applied), pending === null ? '–' : figure(pending),
            ])}
          />
        )}
      </Part>
      <Part title="History" none="No history is kept for it." note="sum = left + windows = counted. What left is what retention took out of the windows.">
        {data.history.length > 0 && <StepSums data={data} />}
      </Part>
      <HeadPart data={data} />
    </>
  );
}

/** In the value are the cells of the head's life and SET whose writers are summed. */
function isCounted(cell: Cell, { head }: Explanation): boolean {
  return cell.summed && exact(cell.life) === exact(head?.life ?? 0) && exact(cell.n) === exact(head?.n ?? 0);
}

function Value({ data }: { data: Explanation }) {
  const base = exact(data.head?.base ?? 0);
  const cells = sum(data.cells.filter((cell) => isCounted(cell, data)).map(({ total }) => exact(total)));
  const unflushed = exact(data.unflushed?.total ?? 0);
  const drift = exact(data.value) - base - cells - unflushed;
  return (
    <section class="card equation" aria-label="Value">
      <p class="terms">
        <Term name="value" value={exact(data.value)} />
        <i>=</i>
        <Term name="base" value={base} />
        <i>+</i>
        <Term name="cells" value={cells} />
        <i>+</i>
        <Term name="not in the store yet" value={unflushed} />
        {drift === 0n ? <span class="good verdict">✓ adds up</span> : <span class="bad verdict">✗ drift {digits(drift)}</span>}
      </p>
      <dl class="figures">
        <div><dt>Exists</dt><dd>{data.exists ? 'yes' : 'no'}</dd></div>
        <div><dt>Namespace</dt><dd class="key">{data.namespace}</dd></div>
        <div><dt>Slot</dt><dd>{digits(data.slot)}</dd></div>
        {data.unflushed && (
          <div><dt>Not in the store yet</dt><dd>{figure(data.unflushed.counted)} counted, {figure(data.unflushed.windows)} windows</dd></div>
        )}
      </dl>
    </section>
  );
}

function Term({ name, value }: { name: string; value: bigint }) {
  return <span class="term"><b>{digits(value)}</b><small>{name}</small></span>;
}

function StepSums({ data }: { data: Explanation }) {
  return (
    <Table
      label="History"
      head={['Step', 'Left', 'Windows', 'Chunks', 'Sum', '']}
      rows={data.history.map(({ step, left, windows, chunks, sum }) => {
        const drift = exact(sum) - exact(left) - exact(windows);
        return [
          stepName(step), figure(left), figure(windows), figure(chunks), figure(sum),
          drift === 0n ? <span class="good">✓ adds up</span> : <span class="bad">✗ drift {digits(drift)}</span>,
        ];
      })}
    />
  );
}

function HeadPart({ data: { head } }: { data: Explanation }) {
  return (
    <Part title="Head" none="It has none: never set, deleted or given an expiry, it counts from zero in its first life.">
      {head && (
        <dl class="figures">
          <div><dt>Life</dt><dd>{figure(head.life)}</dd></div>
          <div><dt>Set</dt><dd>{figure(head.n)}</dd></div>
          <div><dt>Revision</dt><dd>{figure(head.revision)}</dd></div>
          <div><dt>Base</dt><dd>{figure(head.base)}</dd></div>
          <div><dt>Created by a SET</dt><dd>{head.created ? 'yes' : 'no'}</dd></div>
          <div><dt>Expires</dt><dd>{head.expires ? instant(Date.parse(head.expires), browserZone()) : 'never'}</dd></div>
          <div>
            <dt>Adds it had seen</dt>
            <dd>{head.seen.length ? head.seen.map(({ writer, position }) => `writer ${figure(writer)} up to ${figure(position)}`).join('; ') : 'none'}</dd>
          </div>
        </dl>
      )}
    </Part>
  );
}

function Part({ title, note, none, children }: { title: string; note?: string; none: string; children: ComponentChildren }) {
  return (
    <section class="card part" aria-label={title}>
      <header><h2>{title}</h2>{note && <span class="faint">{note}</span>}</header>
      {children || <p class="faint">{none}</p>}
    </section>
  );
}

function Table({ label, head, rows }: { label: string; head: string[]; rows: ComponentChildren[][] }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={`${label}, table`}>
      <table>
        <thead><tr>{head.map((name) => (name ? <th key={name} scope="col">{name}</th> : <td key={name} />))}</tr></thead>
        <tbody>
          {rows.map((cells, row) => <tr key={row}>{cells.map((cell, column) => <td key={column}>{cell}</td>)}</tr>)}
        </tbody>
      </table>
    </div>
  );
}
