// A counter's page: exact value, graph, zoom, several counters, links that reproduce the view.
import { type Page, expect, graph, painted, drag, tableSum, test, value } from './tally';

const figure = (page: Page, name: RegExp | string) =>
  page.locator('.counter-head .figures div').filter({ has: page.locator('dt', { hasText: name }) }).locator('dd');

for (const [key, digits] of [['requests:all', '9,999'], ['bytes:all', '2,747,282,505'], ['status:404', '213']] as const) {
  test(`${key} is ${digits}, and so is the sum of its graph`, async ({ page }) => {
    await page.goto(`/counter?key=${key}`);
    await expect(value(page)).toHaveText(digits);
    await expect(figure(page, 'In this range')).toHaveText(digits);
    expect(await tableSum(page)).toBe(BigInt(digits.replaceAll(',', '')));
    await expect.poll(() => painted(page)).toBeGreaterThan(300);
  });
}

test('it opens on the range that has data', async ({ page }) => {
  await page.goto('/counter?key=requests:all');
  await expect(page.locator('.caption')).toContainText('17 May 2015');
  await expect(page.getByRole('navigation', { name: 'Range' }).getByText('All')).toHaveAttribute('aria-current', 'true');
});

test('each range is a link and ends where the data ends', async ({ page }) => {
  await page.goto('/counter?key=requests:all');
  for (const range of ['Hour', 'Day', 'Week', 'Month']) {
    await page.getByRole('navigation', { name: 'Range' }).getByRole('link', { name: range }).click();
    await expect(page).toHaveURL(`/counter?key=requests:all&range=${range.toLowerCase()}`);
    await expect(page.locator('.caption')).toContainText('May 2015');
    await expect(page.locator('.graph-empty')).toHaveCount(0);
    await expect.poll(() => painted(page)).toBeGreaterThan(30);
  }
});

test('dragging zooms, Escape, double click and the button zoom out', async ({ page }) => {
  await page.goto('/counter?key=requests:all');
  await expect.poll(() => painted(page)).toBeGreaterThan(300);
  const outs = [
    () => graph(page).press('Escape'),
    () => page.locator('.graph .u-over').dblclick(),
    () => page.getByRole('link', { name: 'Zoom out' }).click(),
  ];
  for (const out of outs) {
    await drag(page, 0.3, 0.6);
    await expect(page).toHaveURL(/&from=2015-05-1[78]T[\d:]+Z&to=2015-05-(19|20)T[\d:]+Z/);
    await expect(figure(page, 'In this range')).not.toHaveText('9,999');
    const part = Number((await figure(page, 'In this range').textContent())!.replaceAll(',', ''));
    expect(part).toBeGreaterThan(2_000);
    expect(part).toBeLessThan(4_500);
    await expect.poll(() => painted(page)).toBeGreaterThan(300);
    await out();
    await expect(page).toHaveURL('/counter?key=requests:all');
    await expect(figure(page, 'In this range')).toHaveText('9,999');
  }
});

test('zooming further in still shows what was counted there', async ({ page }) => {
  await page.goto('/counter?key=requests:all&from=2015-05-17T10:00:00Z&to=2015-05-17T16:00:00Z');
  await expect(figure(page, 'In this range')).toHaveText(/^[5-9]\d\d$/);
  await expect.poll(() => painted(page)).toBeGreaterThan(100);
});

test('a link reproduces what one sees', async ({ page, context }) => {
  await page.goto('/counter?key=bytes:all&key=requests:all&range=week&sum=running&tz=UTC');
  await expect.poll(() => painted(page, 1)).toBeGreaterThan(100);
  await drag(page, 0.6, 0.9);
  await expect(page).toHaveURL(/from=/);
  await expect(page.locator('.graph')).toHaveAttribute('aria-busy', 'false');
  const seen = async (page: Page) => ({
    caption: await page.locator('.caption span').allTextContents(),
    table: await page.locator('.step-table').textContent(),
    legend: await page.locator('.legend').textContent(),
    chosen: await page.locator('.toolbar [aria-current]').allTextContents(),
  });
  const first = await seen(page);

  const again = await context.newPage();
  await again.goto(page.url());
  await expect.poll(() => painted(again, 1)).toBeGreaterThan(100);
  expect(await seen(again)).toEqual(first);

  const pinned = await page.getByRole('link', { name: 'Link to exactly this' }).getAttribute('href');
  await again.goto(pinned!);
  await expect.poll(() => painted(again, 1)).toBeGreaterThan(100);
  expect((await seen(again)).table).toEqual(first.table);
  await page.goBack();
  await expect(page).toHaveURL(/range=week&sum=running&tz=UTC$/);
});

test('several counters in one graph: add, tell apart, take out', async ({ page }) => {
  await page.goto('/counter?key=status:200');
  const field = page.getByRole('combobox', { name: 'Add a counter to the graph' });
  await field.fill('status:304');
  await page.getByRole('option').filter({ hasText: 'status:304' }).click();
  await expect(page).toHaveURL('/counter?key=status:200&key=status:304');
  const legend = page.getByRole('list', { name: 'Counters in the graph' }).getByRole('listitem');
  await expect(legend).toHaveCount(2);
  await expect(legend.nth(0).locator('.legend-value')).toHaveText('9,125');
  await expect(legend.nth(1).locator('.legend-value')).toHaveText('445');
  await expect.poll(() => painted(page, 1)).toBeGreaterThan(100);
  await expect.poll(() => painted(page, 2)).toBeGreaterThan(100);
  expect(await tableSum(page, 0)).toBe(9_125n);
  expect(await tableSum(page, 1)).toBe(445n);
  await page.getByRole('link', { name: 'Take status:200 out of the graph' }).click();
  await expect(page).toHaveURL('/counter?key=status:304');
  await expect(value(page)).toHaveText('445');
});

test('the running total ends at the sum', async ({ page }) => {
  await page.goto('/counter?key=requests:all');
  await page.getByRole('link', { name: 'Running total' }).click();
  await expect(page).toHaveURL(/sum=running/);
  await expect(page.locator('.step-table tbody tr').last().locator('td')).toHaveText('9,999');
});

test('UTC and the local zone name the same instants differently', async ({ page }) => {
  await page.goto('/counter?key=requests:all');
  await expect(page.locator('.caption')).toContainText('17 May 2015, 12:00');
  await page.getByRole('navigation', { name: 'Time zone' }).getByText('UTC').click();
  await expect(page.locator('.caption')).toContainText('17 May 2015, 10:00');
});

test('the readout follows the mouse', async ({ page }) => {
  await page.goto('/counter?key=requests:all');
  await expect.poll(() => painted(page)).toBeGreaterThan(300);
  await page.locator('.graph .u-over').hover({ position: { x: 300, y: 60 } });
  await expect(page.locator('.readout')).toContainText(/18 May 2015, \d\d:00 – \d\d:00\d+/);
});

test('a counter that does not exist says so', async ({ page }) => {
  await page.goto('/counter?key=nothing:here');
  await expect(page.getByText('Nothing has been counted under this name yet.')).toBeVisible();
});
