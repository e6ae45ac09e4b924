// What a page says when it has nothing to show: it is loading, it failed, or there is nothing.
import type { ComponentChildren } from 'preact';
import type { Problem } from '../api/client';

export function Loading({ what }: { what: string }) {
  return <p class="notice loading" role="status">Loading {what} …</p>;
}

export function Failed({ problem, again }: { problem: Problem; again?: () => void }) {
  return (
    <div class="notice failed" role="alert">
      <h2>{problem.title}</h2>
      {problem.detail && <p>{problem.detail}</p>}
      {problem.kind && <p class="faint">{problem.status ? `${problem.status} · ` : ''}{problem.kind}</p>}
      {again && <button type="button" onClick={again}>Try again</button>}
    </div>
  );
}

/** With `whole`, it is all there is on the page, and so its heading. */
export function Nothing({ title, whole, children }: { title: string; whole?: boolean; children?: ComponentChildren }) {
  return (
    <div class="notice">
      {whole ? <h1>{title}</h1> : <h2>{title}</h2>}
      {children}
    </div>
  );
}
