// Finds counters by prefix while one types: a combobox. Every keystroke asks at once and aborts the question before it, so
// the list always answers what stands in the field.
import { useEffect, useRef, useState } from 'preact/hooks';
import * as calls from '../api/calls';
import type { Counter } from '../api/shapes';
import { go, href } from '../state/address';
import { counterHref } from '../words/view';
import { digits, exact } from '../words/number';

const SHOWN = 10;

interface Answer {
  prefix: string;
  counters: Counter[];
  more: boolean;
  failed?: string;
}

export interface SearchProps {
  id: string;
  label: string;
  placeholder: string;
  large?: boolean;
  /** Where `/` puts the cursor. */
  main?: boolean;
  /** Instead of opening the counter's page. */
  onChoose?(key: string): void;
}

export function Search({ id, label, placeholder, large, main, onChoose }: SearchProps) {
  const [text, setText] = useState('');
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const pending = useRef<AbortController | null>(null);
  /** Keys that came before the answer: they wait for it, so that what they do never depends on who was faster. */
  const ahead = useRef({ active: -1, enter: false });
  useEffect(() => () => pending.current?.abort(), []);

  const ask = (prefix: string) => {
    pending.current?.abort();
    const abort = (pending.current = new AbortController());
    ahead.current = { active: -1, enter: false };
    const answered = (next: Omit<Answer, 'prefix'>) => {
      if (abort.signal.aborted) return;
      const { active, enter } = ahead.current;
      const chosen = Math.min(active, next.counters.length - 1);
      setAnswer({ prefix, ...next });
      setActive(chosen);
      if (enter) take({ prefix, ...next }, chosen);
    };
    calls.counters(prefix, undefined, SHOWN, abort.signal).then(
      ({ counters, next }) => answered({ counters, more: next !== null }),
      (error: Error) => answered({ counters: [], more: false, failed: error.message }),
    );
  };

  const close = () => {
    setOpen(false);
    setActive(-1);
  };
  const choose = (key: string) => {
    close();
    setText('');
    pending.current?.abort();
    pending.current = null;
    if (onChoose) onChoose(key);
    else go(counterHref(key));
  };
  const browse = (prefix: string) => {
    close();
    go(href('/counters', [['prefix', prefix]]));
  };

  const options = answer ? answer.counters.length + (answer.more && !onChoose ? 1 : 0) : 0;
  /** Enter: the active counter, else the one whose whole name it is, else all with the prefix. */
  const take = (given: Answer, index: number) => {
    const chosen = given.counters[index] ?? (index < 0 ? given.counters.find(({ key }) => key === given.prefix) : undefined);
    if (chosen) choose(chosen.key);
    else if (!onChoose) browse(given.prefix);
  };
  const enter = () => {
    if (answer?.prefix === text) return take(answer, active);
    if (!pending.current) ask(text);
    ahead.current.enter = true;
  };
  const step = (by: number) => {
    setOpen(true);
    if (answer?.prefix !== text) {
      if (!open) ask(text);
      ahead.current.active = Math.max(0, ahead.current.active + by);
    } else if (options) {
      setActive((before) => (before < 0 && by < 0 ? options - 1 : (before + by + options) % options));
    }
  };
  const keys: Record<string, () => void> = { ArrowDown: () => step(1), ArrowUp: () => step(-1), Enter: enter };

  const shown = open && answer !== null;
  return (
    <div class={large ? 'search large' : 'search'}>
      <svg class="search-icon" viewBox="0 0 20 20" aria-hidden="true">
        <circle cx="9" cy="9" r="5.5" />
        <path d="m13.2 13.2 4 4" />
      </svg>
      <input
        id={id}
        type="text"
        role="combobox"
        aria-label={label}
        aria-autocomplete="list"
        aria-expanded={shown}
        aria-controls={`${id}-list`}
        aria-activedescendant={shown && active >= 0 ? `${id}-${active}` : undefined}
        placeholder={placeholder}
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        data-main-search={main}
        value={text}
        onInput={({ currentTarget: { value } }) => {
          setText(value);
          setOpen(true);
          ask(value);
        }}
        onBlur={close}
        onKeyDown={(event) => {
          if (event.key === 'Escape' && (open || text)) {
            event.preventDefault();
            event.stopPropagation();
            if (!open) setText('');
            return close();
          }
          const act = keys[event.key];
          if (!act || event.isComposing) return;
          event.preventDefault();
          act();
        }}
      />
      {main && <kbd class="search-key" aria-hidden="true">/</kbd>}
      {/* Pressing the mouse must not take the focus: blur would close the list before the click. */}
      <div class="search-list" hidden={!shown} onMouseDown={(event) => event.preventDefault()}>
        <ul id={`${id}-list`} role="listbox" aria-label={label} data-answered={answer?.prefix}>
          {answer?.counters.map(({ key, value }, index) => (
            <li
              key={key}
              id={`${id}-${index}`}
              role="option"
              aria-selected={index === active}
              onClick={() => choose(key)}
            >
              <span class="search-name">
                <b>{key.slice(0, answer.prefix.length)}</b>
                {key.slice(answer.prefix.length)}
              </span>
              <span class="search-value">{value === null ? '' : digits(exact(value))}</span>
            </li>
          ))}
          {answer?.more && !onChoose && (
            <li id={`${id}-${answer.counters.length}`} role="option" aria-selected={active === answer.counters.length} onClick={() => browse(answer.prefix)}>
              <span class="search-all">All that begin with “{answer.prefix}”</span>
            </li>
          )}
        </ul>
        {answer && !answer.counters.length && (
          <p class="search-none">{answer.failed ?? `No counter begins with “${answer.prefix}”.`}</p>
        )}
      </div>
      <span class="visually-hidden" role="status">{shown ? announced(answer) : ''}</span>
    </div>
  );
}

function announced({ counters, more, failed }: Answer): string {
  if (failed) return failed;
  if (!counters.length) return 'No counter found';
  return more ? `The first ${counters.length} counters` : `${counters.length} found`;
}
