// The ledger: what was received and what became of it, with the sum done again before the reader's eyes.
import * as calls from '../api/calls';
import type { LedgerEntry } from '../api/shapes';
import { Failed, Loading } from '../parts/notice';
import { Sums } from '../parts/sums';
import { useResource } from '../state/resource';
import { digits, exact, share, sum } from '../words/number';

const OUTCOMES = ['counted', 'duplicate', 'late', 'rejected', 'ignored'] as const;

const MEANINGS: Record<(typeof OUTCOMES)[number], string> = {
  counted: 'became part of a counter',
  duplicate: 'had been counted before, so it changed nothing',
  late: 'came after its policy’s lateness',
  rejected: 'was broken or refused',
  ignored: 'no rule matched it',
};

const outcomesOf = (entry: LedgerEntry) => sum(OUTCOMES.map((outcome) => exact(entry[outcome])));

/** What was received and is not accounted for; zero, or the server has a fault. */
const driftOf = (entry: LedgerEntry) => exact(entry.received) - outcomesOf(entry);

/** Of all together, so that one drift cannot hide another. */
const driftsOf = (entries: LedgerEntry[]) => sum(entries.map(driftOf).map((drift) => (drift < 0n ? -drift : drift)));

export function LedgerPage() {
  const { data, problem, reload } = useResource((signal) => calls.ledger(signal), []);
  return (
    <>
      <header class="title">
        <div>
          <h1>Ledger</h1>
          <p class="lead">received = counted + duplicate + late + rejected + ignored. Always, for every source and namespace.</p>
        </div>
        <button type="button" onClick={reload}>Refresh</button>
      </header>
      {problem && <Failed problem={problem} again={reload} />}
      {!data && !problem && <Loading what="the ledger" />}
      {data && (
        <>
          <Part title="Sources" unit="Events" entries={data.sources} none="No events have come from any source yet." />
          <Part title="Namespaces" unit="Adds" entries={data.namespaces} none="No adds have come yet." />
          <Meanings />
        </>
      )}
      <Sums />
    </>
  );
}

function Part({ title, unit, entries, none }: { title: string; unit: string; entries: LedgerEntry[]; none: string }) {
  const id = `ledger-${title}`;
  return (
    <section class="card ledger" aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        <span class="faint">{unit}</span>
        {entries.length > 0 && <Verdict drift={driftsOf(entries)} />}
      </header>
      {!entries.length && <p class="faint">{none}</p>}
      {entries.length > 0 && (
        // The roles stand here because narrow screens lay the rows out as blocks, which would take them away.
        <table class="sums" role="table" aria-labelledby={id}>
          <thead role="rowgroup">
            <tr role="row">
              <th role="columnheader" scope="col">{title.slice(0, -1)}</th>
              <th role="columnheader" scope="col">received</th>
              {OUTCOMES.map((outcome) => <th key={outcome} role="columnheader" scope="col">{outcome}</th>)}
              <th role="columnheader" scope="col">sum</th>
            </tr>
          </thead>
          <tbody role="rowgroup">{entries.map((entry) => <Entry key={entry.name} entry={entry} />)}</tbody>
        </table>
      )}
      {entries.filter(({ reasons }) => reasons.length).map((entry) => <Reasons key={entry.name} entry={entry} />)}
    </section>
  );
}

function Entry({ entry }: { entry: LedgerEntry }) {
  const figures = [['received', entry.received], ...OUTCOMES.map((outcome) => [outcome, entry[outcome]])] as [string, string][];
  return (
    <tr role="row">
      <th role="rowheader" scope="row">
        <span class="key">{entry.name}</span>
        <Proportions entry={entry} />
      </th>
      {figures.map(([name, value]) => (
        <td key={name} role="cell" data-name={name} class={exact(value) === 0n ? 'zero' : undefined}>{digits(exact(value))}</td>
      ))}
      <td role="cell" data-name="sum"><Verdict drift={driftOf(entry)} total={outcomesOf(entry)} /></td>
    </tr>
  );
}

/** The outcomes as parts of one bar. */
function Proportions({ entry }: { entry: LedgerEntry }) {
  const received = exact(entry.received);
  let left = 0;
  return (
    <svg class="proportions" viewBox="0 0 1000 6" preserveAspectRatio="none" aria-hidden="true">
      {OUTCOMES.map((outcome) => {
        const width = share(exact(entry[outcome]), received) * 1000;
        const rect = <rect key={outcome} class={outcome} x={left} width={width} height="6" />;
        left += width;
        return rect;
      })}
    </svg>
  );
}

function Verdict({ drift, total }: { drift: bigint; total?: bigint }) {
  const figure = total === undefined ? '' : ` ${digits(total)}`;
  if (drift === 0n) return <span class="good verdict" title="The sum is what was received">✓{figure || ' adds up'}</span>;
  return <span class="bad verdict" title="The sum is not what was received">✗{figure} drift {digits(drift)}</span>;
}

function Reasons({ entry }: { entry: LedgerEntry }) {
  return (
    <div class="reasons">
      <h3>Why <span class="key">{entry.name}</span> had some rejected</h3>
      <ul>
        {entry.reasons.map(({ reason, count, last }) => (
          <li key={reason}>
            <b>{digits(exact(count))}</b>
            <span>{reason}</span>
            {last !== null && <span class="faint">last: <span class="key">{last}</span></span>}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Meanings() {
  return (
    <dl class="meanings">
      {OUTCOMES.map((outcome) => (
        <div key={outcome}>
          <dt><i class={`swatch ${outcome}`} />{outcome}</dt>
          <dd>{MEANINGS[outcome]}</dd>
        </div>
      ))}
    </dl>
  );
}
