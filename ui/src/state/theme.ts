// Light or dark: the system's choice, unless the reader made one, which is kept in this browser.
import { Signal } from './signal';

export type Theme = 'light' | 'dark';

const PLACE = 'tally.theme';
const system = matchMedia('(prefers-color-scheme: dark)');

function shown(): Theme {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === 'light' || chosen === 'dark') return chosen;
  return system.matches ? 'dark' : 'light';
}

/** What is shown now. */
export const theme = new Signal<Theme>(shown());

system.addEventListener('change', () => theme.set(shown()));

export function choose(next: Theme): void {
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem(PLACE, next);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  theme.set(next);
}
