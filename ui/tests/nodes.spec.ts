// The nodes: none beside this one on the embedded store; those of a shared one with what each says of itself.
import { AxeBuilder } from '@axe-core/playwright';
import { expect, test } from './tally';

test('a store of its own has no other nodes, and the page says how there could be some', async ({ page }) => {
  await page.goto('/nodes');
  await expect(page.getByRole('heading', { name: 'The store is this node’s alone' })).toBeVisible();
  await expect(page.getByText('--store cql://')).toBeVisible();
  await expect(page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Nodes' })).toHaveAttribute('aria-current', 'page');
});

/** As a server on a shared store answers, in all states that a node can be in. */
const NODES = {
  nodes: [
    { id: 'node:0af3', this: true, alive: true, silent_ms: 120, clock_ahead_ms: 3, http: '127.0.0.1:7380', resp: '127.0.0.1:6380', version: '0.1.0', writer: 1, started: '2026-01-01T00:00:00Z', hot_counters: 1234, journal_bytes: 16777216 },
    { id: 'node:9c2e', this: false, alive: true, silent_ms: 800, clock_ahead_ms: -42000, http: '127.0.0.2:7380', resp: '127.0.0.2:6380', version: '0.1.0', writer: 2, started: '2026-01-01T00:05:00Z', hot_counters: 7, journal_bytes: 0 },
    { id: `node:${'f'.repeat(32)}`, this: false, alive: false, silent_ms: 95000, clock_ahead_ms: 0, http: '127.0.0.3:7380', resp: '127.0.0.3:6380', version: '0.1.0', writer: 3, started: '2026-01-01T00:06:00Z', hot_counters: 0, journal_bytes: 0 },
  ],
};

for (const theme of ['light', 'dark'] as const) {
  test(`who is silent and whose clock is off is named, also on a small screen, ${theme}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    await page.route('**/v1/nodes*', (route) => route.fulfill({ json: NODES }));
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: 740 });
      await page.goto('/nodes');
      const all = page.getByRole('region', { name: '3 nodes' });
      await expect(all.locator('header')).toContainText('✗ 1 silent');
      const rows = all.getByRole('row');
      await expect(rows.nth(1)).toContainText('this one');
      await expect(rows.nth(1)).toContainText('16.0 MiB');
      await expect(rows.nth(2)).toContainText('✗ 42 s behind');
      await expect(rows.nth(3)).toContainText('✗ 1 min ago');
      const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      expect(content).toBeLessThanOrEqual(screen!);
      expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
    }
  });
}

test('a node that falls silent is seen without a reload', async ({ page }) => {
  let silent = false;
  await page.route('**/v1/nodes*', (route) => {
    const nodes = NODES.nodes.slice(0, 2).map((node) => ({ ...node, alive: node.this || !silent, silent_ms: silent && !node.this ? 12000 : 100 }));
    return route.fulfill({ json: { nodes } });
  });
  await page.goto('/nodes');
  await expect(page.getByRole('region', { name: '2 nodes' })).toContainText('✓ all heard');
  silent = true;
  await expect(page.getByRole('region', { name: '2 nodes' })).toContainText('✗ 12 s ago');
});
