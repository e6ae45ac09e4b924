// The shell around every page: name, search, places, theme; and the sign-in form while the server wants a token.
import { useEffect, useRef } from 'preact/hooks';
import { CounterPage } from './pages/counter/page';
import { CountersPage } from './pages/counters';
import { ExplainPage } from './pages/explain';
import { HomePage } from './pages/home';
import { LargestPage } from './pages/largest';
import { LedgerPage } from './pages/ledger';
import { NodesPage } from './pages/nodes';
import { SignIn } from './pages/sign-in';
import { Nothing } from './parts/notice';
import { Search } from './parts/search';
import { type Address, useAddress } from './state/address';
import { useSignal } from './state/signal';
import { choose, theme } from './state/theme';
import { token } from './state/token';
import { viewOf } from './words/view';

const PLACES = [
  { path: '/counters', name: 'Counters' },
  { path: '/largest', name: 'Largest' },
  { path: '/ledger', name: 'Ledger' },
  { path: '/nodes', name: 'Nodes' },
];

export function App() {
  const address = useAddress();
  const wanted = useSignal(token.wanted);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);

  // A new page begins at its top, also for those who do not see it.
  useEffect(() => {
    if (!first.current) {
      scrollTo(0, 0);
      main.current?.focus({ preventScroll: true });
    }
    first.current = false;
  }, [address.path]);
  useEffect(() => {
    document.title = titleOf(address);
  }, [address]);
  useEffect(() => {
    document.addEventListener('keydown', focusSearch);
    return () => document.removeEventListener('keydown', focusSearch);
  }, []);

  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>Skip to the page</a>
      <header class="head">
        <a class="brand" href="/" aria-label="Tally, first page">
          <Mark />
          <span>Tally</span>
        </a>
        {!wanted && address.path !== '/' && <Search id="search" label="Find a counter" placeholder="Find a counter" main />}
        <nav class="places" aria-label="Pages">
          {PLACES.map(({ path, name }) => (
            <a key={path} href={path} aria-current={address.path === path ? 'page' : undefined}>{name}</a>
          ))}
        </nav>
        <ThemeButton />
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {wanted ? <SignIn /> : <Page address={address} />}
      </main>
    </>
  );
}

function Page({ address: { path, query } }: { address: Address }) {
  switch (path) {
    case '/':
      return <HomePage />;
    case '/counters':
      return <CountersPage key={query.get('prefix')} prefix={query.get('prefix') ?? ''} />;
    case '/counter':
      return <CounterPage view={viewOf(query)} />;
    case '/largest':
      return <LargestPage query={query} />;
    case '/ledger':
      return <LedgerPage />;
    case '/nodes':
      return <NodesPage />;
    case '/explain':
      return <ExplainPage key={query.get('key')} counter={query.get('key') ?? ''} />;
    default:
      return <Nothing whole title="There is no such page"><p><a href="/">To the first page</a></p></Nothing>;
  }
}

function titleOf({ path, query }: Address): string {
  const named: Record<string, string> = {
    '/counters': `Counters ${query.get('prefix') ?? ''}`,
    '/counter': query.getAll('key').join(', '),
    '/largest': `Largest ${query.get('match') ?? ''}`,
    '/ledger': 'Ledger',
    '/nodes': 'Nodes',
    '/explain': `Explain ${query.get('key') ?? ''}`,
  };
  const name = named[path]?.trim();
  return name ? `${name} · Tally` : 'Tally';
}

function focusSearch(event: KeyboardEvent): void {
  const typing = event.target instanceof Element && event.target.closest('input, textarea, select');
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || typing) return;
  const input = document.querySelector<HTMLInputElement>('[data-main-search]');
  if (!input) return;
  event.preventDefault();
  input.focus();
  input.select();
}

function ThemeButton() {
  const shown = useSignal(theme);
  const other = shown === 'dark' ? 'light' : 'dark';
  return (
    <button type="button" class="quiet theme" aria-label={`Use the ${other} theme`} title={`Use the ${other} theme`} onClick={() => choose(other)}>
      <svg viewBox="0 0 20 20" aria-hidden="true">
        {shown === 'dark' ? (
          <>
            <circle cx="10" cy="10" r="3.6" />
            <path d="M10 1.8v2.1M10 16.1v2.1M1.8 10h2.1M16.1 10h2.1M4.2 4.2l1.5 1.5M14.3 14.3l1.5 1.5M4.2 15.8l1.5-1.5M14.3 5.7l1.5-1.5" />
          </>
        ) : (
          <path d="M16.6 12.2A7.2 7.2 0 0 1 7.8 3.4a7.2 7.2 0 1 0 8.8 8.8Z" />
        )}
      </svg>
    </button>
  );
}

/** Four strokes and one across. */
function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M8.5 8v16M13.5 8v16M18.5 8v16M23.5 8v16" />
      <path class="mark-across" d="M5 21.8 27 10.2" />
    </svg>
  );
}
