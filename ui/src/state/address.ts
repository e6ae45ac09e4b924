// The address bar is the state: every page is drawn from it alone, so a link reproduces what one sees.
import { Signal, useSignal } from './signal';

export interface Address {
  path: string;
  query: URLSearchParams;
}

const read = (): Address => ({ path: location.pathname, query: new URLSearchParams(location.search) });

const address = new Signal(read());

export const useAddress = (): Address => useSignal(address);

export function go(href: string, how: 'push' | 'replace' = 'push'): void {
  if (href === location.pathname + location.search) return;
  if (how === 'push') history.pushState(null, '', href);
  else history.replaceState(null, '', href);
  address.set(read());
}

/** Key names stay readable in the address: only what a query cannot hold is escaped. */
export function href(path: string, params: [name: string, value: string | undefined][] = []): string {
  const readable = (text: string) => encodeURIComponent(text).replace(/%(3A|2F|2C|40|2A)/g, decodeURIComponent);
  const query = params.filter(([, value]) => value !== undefined).map(([name, value]) => `${name}=${readable(value!)}`);
  return query.length ? `${path}?${query.join('&')}` : path;
}

/** Follows the browser's buttons, and plain clicks on links to our own pages. */
export function listen(): void {
  addEventListener('popstate', () => address.set(read()));
  document.addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest?.('a[href]') as HTMLAnchorElement | null;
    if (!link || link.target || link.origin !== location.origin || link.hash || link.hasAttribute('download')) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
