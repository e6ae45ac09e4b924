// The first page, the largest, the ledger, explain, sign-in, errors.
import { AxeBuilder } from '@axe-core/playwright';
import { expect, server, test } from './tally';

test('the first page shows what is counted and how the service is', async ({ page }) => {
  await page.goto('/');
  await expect(page.getByRole('link', { name: /requests:all/ })).toContainText('9,999');
  await expect(page.locator('.tile', { hasText: 'requests:all' }).locator('.spark rect')).not.toHaveCount(0);
  const pages = page.getByRole('list', { name: 'Largest of page:' });
  await expect(pages.getByRole('listitem').first()).toContainText('/favicon.ico');
  await expect(pages.getByRole('listitem').first()).toContainText('807');
  await expect(page.getByRole('region', { name: 'Service' })).toContainText('takes adds');
});

test('largest counters of a namespace, in order, over all time and a range', async ({ page }) => {
  await page.goto('/largest');
  await page.getByRole('textbox', { name: 'Names' }).fill('page:*');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL('/largest?match=page:*');
  const rows = page.getByRole('list', { name: 'Largest of page:*' }).getByRole('listitem');
  await expect(rows).toHaveCount(10);
  await expect(rows.first()).toContainText('/favicon.ico');
  await expect(rows.first()).toContainText('807');
  const values = (await rows.locator('.bar-value').allTextContents()).map((text) => Number(text.replaceAll(',', '')));
  expect(values).toEqual([...values].sort((a, b) => b - a));
  await expect(page.locator('.largest .figures')).toContainText('9,999');

  await page.getByRole('link', { name: '25', exact: true }).click();
  await expect(rows).toHaveCount(25);
  await page.getByRole('navigation', { name: 'Range' }).getByRole('link', { name: 'Day' }).click();
  await expect(page).toHaveURL('/largest?match=page:*&limit=25&range=day');
  await expect(page.locator('.largest .figures')).toContainText('20 May 2015');
  await expect(rows.first().locator('.bar-value')).not.toHaveText('807');
  await page.getByRole('link', { name: 'The first 5 in one graph' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('5 counters');
});

test('the ledger adds up, for every source and namespace', async ({ page }) => {
  await page.goto('/ledger');
  const tables = page.getByRole('table');
  await expect(tables).toHaveCount(2);
  const rows = await page.locator('.sums tbody tr').evaluateAll((rows) =>
    rows.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent!)),
  );
  expect(rows.length).toBeGreaterThan(1);
  for (const row of rows) {
    const [received, ...outcomes] = row.slice(0, 6).map((text) => BigInt(text.replaceAll(',', '')));
    expect(outcomes.reduce((sum, outcome) => sum + outcome, 0n)).toBe(received);
    expect(row[6]).toMatch(/^✓/);
  }
  await expect(page.getByRole('region', { name: 'Sources' })).toContainText('✓ adds up');
  expect(rows.some(([received]) => received === '9,999')).toBe(true);
});

test('all sums are checked on request, and when that was is shown', async ({ page, request }) => {
  await page.goto('/ledger');
  const sums = page.getByRole('region', { name: 'Sums' });
  await expect(sums.locator('.checks dt')).toHaveCount(7);
  const before = ((await (await request.get(`${server}/v1/verify`)).json()) as { passes: number }).passes;
  await sums.getByRole('button', { name: 'Check now' }).click();
  await expect(sums.getByRole('status')).toContainText('Last whole pass');
  await expect(sums.getByText('✓ agree')).toBeVisible();
  await expect(sums.getByRole('status')).toContainText(/\d+ ms over 1,\d+ counters/);
  await expect(sums.locator('.drifts')).toHaveCount(0);
  const after = ((await (await request.get(`${server}/v1/verify`)).json()) as { passes: number }).passes;
  expect(after).toBeGreaterThan(before);
});

test('drift in the store is named', async ({ page }) => {
  await page.route('**/v1/verify*', async (route) => {
    const verified = await (await route.fetch()).json();
    verified.checks[1].drift = 2;
    const drift = { check: 'history', detail: 'writer 1 counted 10; its windows of 1m and what left them add up to 7', mended: null };
    const named = ['orders', `long:${'x'.repeat(600)}`].map((subject) => ({ ...drift, subject }));
    verified.running = null;
    verified.last = { number: 1, repairs: false, started: '2026-01-01T00:00:00Z', ended: '2026-01-01T00:00:01Z', took_ms: 1000, counters: 5, hot: 2, names: 5, rows: 40, found: 3, mended: 0, drifts: named, error: null };
    await route.fulfill({ json: verified });
  });
  for (const width of [1280, 360]) {
    await page.setViewportSize({ width, height: 740 });
    await page.goto('/ledger');
    const sums = page.getByRole('region', { name: 'Sums' });
    await expect(sums.getByText('✗ drift 2')).toBeVisible();
    await expect(sums.getByRole('listitem').first()).toContainText('orders');
    await expect(sums.getByRole('listitem').first()).toContainText('not mended');
    await expect(sums).toContainText('and 1 more');
    const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    expect(content).toBeLessThanOrEqual(screen!);
    expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  }
});

test('a ledger that does not add up is shown as drift', async ({ page }) => {
  await page.route('**/v1/ledger*', (route) =>
    route.fulfill({
      json: {
        sources: [
          { name: 'broken', received: '10', counted: '7', duplicate: '1', late: '0', rejected: '1', ignored: '0', reasons: [{ reason: 'bad amount', count: '1', last: 'e-7' }] },
          { name: 'the other way', received: '3', counted: '4', duplicate: '0', late: '0', rejected: '0', ignored: '0', reasons: [] },
        ],
        namespaces: [],
      },
    }),
  );
  await page.goto('/ledger');
  await expect(page.getByRole('row', { name: /broken/ })).toContainText('✗ 9 drift 1');
  await expect(page.getByRole('region', { name: 'Sources' }).locator('header')).toContainText('drift 2');
  await expect(page.getByRole('region', { name: 'Sources' })).toContainText('bad amount');
});

test('explain says what is behind a number, and it adds up', async ({ page }) => {
  await page.goto('/counter?key=status:404');
  await page.getByRole('link', { name: 'Explain this value' }).click();
  await expect(page).toHaveURL('/explain?key=status:404');
  const equation = page.getByRole('region', { name: 'Value' });
  await expect(equation.locator('.term').first()).toContainText('213');
  await expect(equation).toContainText('✓ adds up');
  await expect(page.getByRole('region', { name: 'History, table' })).toContainText('✓ adds up');
  await expect(page.getByRole('region', { name: 'History, table' })).not.toContainText('drift');
  await expect(page.getByRole('region', { name: 'Writers', exact: true })).toBeVisible();
});

test('a server that wants a token gets it, on every call, and only from the form', async ({ page, complaints }) => {
  await page.route('**/v1/**', async (route) => {
    if (route.request().headers().authorization === 'Bearer open sesame') return route.continue();
    return route.fulfill({
      status: 401,
      contentType: 'application/problem+json',
      body: JSON.stringify({ type: 'about:blank', title: 'Unauthorized', status: 401, kind: 'unauthorized', detail: 'a token is needed' }),
    });
  });
  await page.goto('/counter?key=status:404');
  await page.getByLabel('Token').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByText('The server refused this token.')).toBeVisible();
  await page.getByLabel('Token').fill('open sesame');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.locator('.counter-value')).toHaveText('213');
  await expect(page.locator('.live')).toHaveText('live');
  expect(await page.evaluate(() => Object.values({ ...localStorage }).concat(location.href).join())).not.toContain('sesame');
  // The refusals themselves are what the browser reports here.
  complaints.splice(0, complaints.length, ...complaints.filter((text) => !text.includes('401')));
});

test('a problem is shown with the server’s own words', async ({ page, complaints }) => {
  await page.goto('/largest?match=page:*:*');
  await page.route('**/v1/query*', (route) =>
    route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify({ title: 'Unavailable', status: 503, kind: 'unavailable', detail: 'the node is draining' }) }),
  );
  await page.goto('/largest?match=page:*');
  await expect(page.getByRole('alert')).toContainText('the node is draining');
  await page.unroute('**/v1/query*');
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('list', { name: 'Largest of page:*' })).toBeVisible();
  complaints.splice(0, complaints.length, ...complaints.filter((text) => !/50\d|40\d/.test(text)));
});
