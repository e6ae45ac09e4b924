// The nodes that share the store, as the one that answers last heard them.
import { useEffect } from 'preact/hooks';
import * as calls from '../api/calls';
import type { Node } from '../api/shapes';
import { Failed, Loading, Nothing } from '../parts/notice';
import { useVisible } from '../state/live';
import { useResource } from '../state/resource';
import { bytes, digits, exact, plural } from '../words/number';
import { browserZone, duration, instant, instantOf } from '../words/time';

/** How often they are asked for while the page can be seen: as often as a node is heard. */
const ASK_MS = 1000;
/** The server warns of clocks that differ by more than this. */
const CLOCK_MS = 5000;

export function NodesPage() {
  const { data, problem, reload } = useResource((signal) => calls.nodes(signal), []);
  const visible = useVisible();
  useEffect(() => {
    if (!visible || !data?.nodes.length) return;
    const timer = setTimeout(reload, ASK_MS);
    return () => clearTimeout(timer);
  }, [data, visible]);

  return (
    <>
      <header class="title">
        <div>
          <h1>Nodes</h1>
          <p class="lead">Each counts on its own and adds what the others have counted.</p>
        </div>
      </header>
      {problem && <Failed problem={problem} again={reload} />}
      {!data && !problem && <Loading what="the nodes" />}
      {data && !data.nodes.length && <Alone />}
      {data && data.nodes.length > 0 && <All nodes={data.nodes} />}
    </>
  );
}

function Alone() {
  return (
    <Nothing title="The store is this node’s alone">
      <p>Several nodes share one in Cassandra: start each with the same <code>--store cql://HOST/KEYSPACE</code>.</p>
    </Nothing>
  );
}

function All({ nodes }: { nodes: Node[] }) {
  const silent = nodes.filter(({ alive }) => !alive).length;
  return (
    <section class="card ledger" aria-labelledby="nodes">
      <header>
        <h2 id="nodes">{plural(nodes.length, 'node')}</h2>
        <span class="faint">As last heard by the one that answers</span>
        {silent > 0 ? <span class="bad verdict">✗ {digits(silent)} silent</span> : <span class="good verdict">✓ all heard</span>}
      </header>
      <table class="sums nodes" role="table" aria-labelledby="nodes">
        <thead role="rowgroup">
          <tr role="row">
            {['Node', 'heard', 'clock', 'HTTP', 'RESP', 'in memory', 'journal', 'started', 'version'].map((name) => (
              <th key={name} role="columnheader" scope="col">{name}</th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">{nodes.map((node) => <One key={node.id} node={node} />)}</tbody>
      </table>
    </section>
  );
}

function One({ node }: { node: Node }) {
  const started = instantOf(node.started);
  return (
    <tr role="row">
      <th role="rowheader" scope="row">
        <span class="key">{node.id.replace(/^node:/, '')}</span>
        <span class="faint"> writer {digits(node.writer)}{node.this && ', this one'}</span>
      </th>
      <td role="cell" data-name="heard"><Heard node={node} /></td>
      <td role="cell" data-name="clock"><Clock ahead={Number(node.clock_ahead_ms)} /></td>
      <td role="cell" data-name="HTTP">{node.http}</td>
      <td role="cell" data-name="RESP">{node.resp}</td>
      <td role="cell" data-name="in memory">{digits(exact(node.hot_counters))}</td>
      <td role="cell" data-name="journal">{bytes(exact(node.journal_bytes))}</td>
      <td role="cell" data-name="started">{started === undefined ? '' : instant(started, browserZone())}</td>
      <td role="cell" data-name="version">{node.version}</td>
    </tr>
  );
}

function Heard({ node }: { node: Node }) {
  const ago = duration(Number(node.silent_ms) / 1000);
  return node.alive ? <span class="good">✓ now</span> : <span class="bad">✗ {ago} ago</span>;
}

/** Small differences are only the time that a heartbeat takes. */
function Clock({ ahead }: { ahead: number }) {
  const seconds = digits(Math.round(Math.abs(ahead) / 1000));
  if (Math.abs(ahead) <= CLOCK_MS) return <span class="good">✓ agrees</span>;
  return <span class="bad">✗ {seconds} s {ahead > 0 ? 'ahead' : 'behind'}</span>;
}
