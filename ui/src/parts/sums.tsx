// What the server's walks over all sums have found: the last whole pass, each comparison, and the drifts by name.
import { useEffect, useState } from 'preact/hooks';
import * as calls from '../api/calls';
import type { Drift, Pass, Verified } from '../api/shapes';
import { useResource } from '../state/resource';
import { digits, exact, plural } from '../words/number';
import { browserZone, duration, instant, instantOf } from '../words/time';
import { Failed, Loading } from './notice';

/** How often a pass under way is asked after. */
const ASK_MS = 400;

export function Sums() {
  const { data, problem, reload } = useResource((signal) => calls.verified(signal), []);
  const [wanted, want] = useState(0);
  const waits = !!data && (data.running !== null || wanted > Number(data.last?.number ?? 0));

  useEffect(() => {
    if (!waits) return;
    const timer = setTimeout(reload, ASK_MS);
    return () => clearTimeout(timer);
  }, [waits, data]);

  const check = () => void calls.verify().then(({ number }) => (want(Number(number)), reload()), reload);
  return (
    <section class="card ledger agree" aria-labelledby="sums">
      <header>
        <h2 id="sums">Sums</h2>
        <span class="faint">Of what is stored</span>
        {data && <Verdict verified={data} />}
      </header>
      {problem && <Failed problem={problem} again={reload} />}
      {!data && !problem && <Loading what="what was found" />}
      {data && (
        <>
          <div class="pass">
            <p role="status">{waits ? 'Checking …' : <Last pass={data.last} every={Number(data.every_ms)} />}</p>
            <button type="button" onClick={check} disabled={waits}>Check now</button>
          </div>
          <Drifts drifts={data.last?.drifts ?? []} found={exact(data.last?.found ?? 0)} />
          <Checks verified={data} />
        </>
      )}
    </section>
  );
}

const driftOf = ({ checks }: Verified) => checks.reduce((sum, { drift }) => sum + exact(drift), 0n);

function Verdict({ verified }: { verified: Verified }) {
  const drift = driftOf(verified);
  if (drift > 0n) return <span class="bad verdict">✗ drift {digits(drift)}</span>;
  return verified.last && !verified.last.error ? <span class="good verdict">✓ agree</span> : <span class="faint verdict">not known yet</span>;
}

function Last({ pass, every }: { pass: Pass | null; every: number }) {
  const again = every ? ` The next begins ${duration(every / 1000)} after it.` : '';
  if (!pass) return <>No pass has ended since the start.</>;
  const ended = instantOf(pass.ended);
  const looked = `${plural(exact(pass.counters), 'counter')}, ${digits(exact(pass.hot))} in memory, ${plural(exact(pass.rows), 'row')}`;
  return (
    <>
      Last whole pass: <b>{ended === undefined ? 'never' : instant(ended, browserZone())}</b>, {digits(exact(pass.took_ms ?? 0))} ms over {looked}.
      {pass.error && <> It ended early: {pass.error}.</>}
      {again}
    </>
  );
}

function Drifts({ drifts, found }: { drifts: Drift[]; found: bigint }) {
  if (!drifts.length) return null;
  return (
    <div class="reasons drifts">
      <h3>What does not agree</h3>
      <ul>
        {drifts.map(({ check, subject, detail, mended }) => (
          <li key={`${check} ${subject} ${detail}`}>
            <b>{check}</b>
            <span class="key">{subject}</span>
            <span>{detail}</span>
            <span class="faint">{mended ? `mended: ${mended}` : 'not mended'}</span>
          </li>
        ))}
      </ul>
      {found > BigInt(drifts.length) && <p class="faint">and {digits(found - BigInt(drifts.length))} more</p>}
      <p class="faint"><code>tally verify --repair</code> mends what is derived and says what it did.</p>
    </div>
  );
}

function Checks({ verified }: { verified: Verified }) {
  return (
    <dl class="checks">
      {verified.checks.map(({ check, meaning, drift, found, mended }) => (
        <div key={check}>
          <dt>
            {exact(drift) > 0n ? <span class="bad">✗ {digits(exact(drift))}</span> : <span class="good">✓</span>} {check}
          </dt>
          <dd>
            {meaning}
            {exact(found) > 0n && <span class="faint"> ({digits(exact(found))} found and {digits(exact(mended))} mended since the start)</span>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
