// 100,000 counters: 95 of 100 keystrokes are answered within 100 ms, from the key to the list on the screen.
import { expect, largeServer, test } from './tally';

const KEYSTROKES = 100;
const LIMIT_MS = 100;
/** About nine keys a second: a fast typist. */
const PACE_MS = 110;

test('95 of 100 keystrokes are answered within 100 ms', async ({ page }) => {
  test.setTimeout(120_000);
  await page.goto(`${largeServer()}/`);
  const field = page.getByRole('combobox', { name: 'Find a counter' });
  await field.pressSequentially('load:0', { delay: PACE_MS });
  await expect(page.getByRole('option').first()).toContainText('load:000000');

  // Each keystroke is answered when the list for the field's text has been painted; one that is overtaken never is.
  await page.evaluate(() => {
    const input = document.querySelector<HTMLInputElement>('[data-main-search]')!;
    const list = document.querySelector('[role=listbox]')!;
    const asked = new Map<string, number>();
    const took: number[] = [];
    input.addEventListener('input', (event) => asked.set(input.value, event.timeStamp), { capture: true });
    new MutationObserver(() => {
      const answered = list.getAttribute('data-answered') ?? '';
      const at = asked.get(answered);
      if (at === undefined || answered !== input.value || !list.querySelector('[role=option]')) return;
      asked.delete(answered);
      requestAnimationFrame(() => took.push(performance.now() - at));
    }).observe(list, { attributes: true, childList: true, subtree: true });
    Object.assign(window, { took });
  });

  let typed = 0;
  for (let word = 0; typed < KEYSTROKES; word += 1) {
    await page.keyboard.press('Control+A');
    const name = `load:0${String((word * 7919 + 12_345) % 100_000).padStart(5, '0')}`;
    for (const key of name.slice(0, KEYSTROKES - typed)) {
      await page.keyboard.type(key);
      await page.waitForTimeout(PACE_MS);
      typed += 1;
    }
  }
  await page.waitForTimeout(1_000);

  const took = await page.evaluate(() => (window as unknown as { took: number[] }).took);
  const sorted = [...took, ...Array<number>(KEYSTROKES - took.length).fill(Infinity)].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.ceil(KEYSTROKES * share) - 1]!;
  const line = `keystrokes: ${took.length} of ${KEYSTROKES} answered, median ${at(0.5).toFixed(1)} ms, 95th ${at(0.95).toFixed(1)} ms, slowest ${at(1).toFixed(1)} ms`;
  console.log(line);
  test.info().annotations.push({ type: 'latency', description: line });
  expect(at(0.95), line).toBeLessThan(LIMIT_MS);
});
