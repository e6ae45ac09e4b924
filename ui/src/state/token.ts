// The credential of this tab. Kept in the session's storage, never in the address, gone with the tab.
import { Signal } from './signal';

const PLACE = 'tally.token';
let secret = stored();

export const token = {
  /** Whether the server has asked for a token (again): the shell then shows the sign-in form. */
  wanted: new Signal(false),

  read: (): string | null => secret,

  refuse(): void {
    token.wanted.set(true);
  },

  give(text: string): void {
    secret = text;
    try {
      sessionStorage.setItem(PLACE, text);
    } catch {
      // Without storage the token lives as long as the page.
    }
    token.wanted.set(false);
  },
};

function stored(): string | null {
  try {
    return sessionStorage.getItem(PLACE);
  } catch {
    return null;
  }
}
