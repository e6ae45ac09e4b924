// A counter's name as the page's heading. A long one is cut after some lines until one asks for all of it.
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';

const LONG = 80;
const CUT = 160;

export function Heading({ name, children = name }: { name: string; children?: ComponentChildren }) {
  const [whole, setWhole] = useState(name.length <= CUT);
  const classes = ['key', name.length > LONG && 'long', !whole && 'clamped'].filter(Boolean).join(' ');
  return (
    <div class="heading">
      <h1 class={classes}>{children}</h1>
      {name.length > CUT && (
        <button type="button" class="quiet" aria-expanded={whole} onClick={() => setWhole(!whole)}>
          {whole ? 'Shorten the name' : 'The whole name'}
        </button>
      )}
    </div>
  );
}
