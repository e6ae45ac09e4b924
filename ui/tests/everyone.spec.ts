// Light and dark, at 360 pixels, by keyboard, without axe's findings, under the strict policy.
import { AxeBuilder } from '@axe-core/playwright';
import { type Page, expect, graph, painted, server, test, value } from './tally';

const PAGES = [
  '/',
  '/counters?prefix=page:/',
  '/counter?key=requests:all',
  '/counter?key=status:200&key=status:404&key=status:304',
  '/counter?key=nothing:here',
  '/largest?match=page:*',
  '/ledger',
  '/nodes',
  '/explain?key=status:404',
  '/no-such-page',
];

async function settle(page: Page): Promise<void> {
  await page.waitForLoadState('load');
  await expect(page.getByRole('heading', { level: 1 }).or(page.locator('.notice h2')).first()).toBeVisible();
  await expect(page.locator('.loading')).toHaveCount(0);
}

for (const theme of ['light', 'dark'] as const) {
  test.describe(theme, () => {
    test.use({ colorScheme: theme, contextOptions: { reducedMotion: 'reduce' } });
    for (const path of PAGES) {
      test(`axe finds nothing on ${path}`, async ({ page }) => {
        await page.goto(path);
        await settle(page);
        const wide = await new AxeBuilder({ page }).analyze();
        expect(wide.violations).toEqual([]);
        await page.setViewportSize({ width: 360, height: 740 });
        const narrow = await new AxeBuilder({ page }).analyze();
        expect(narrow.violations).toEqual([]);
      });
    }

    test('axe finds nothing in the open list, the open table and the sign-in form', async ({ page, complaints }) => {
      await page.goto('/counter?key=requests:all');
      await settle(page);
      await page.locator('.step-table summary').click();
      await page.getByRole('combobox', { name: 'Find a counter' }).pressSequentially('page:');
      await page.keyboard.press('ArrowDown');
      await expect(page.getByRole('option').first()).toHaveAttribute('aria-selected', 'true');
      expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
      await page.route('**/v1/**', (route) => route.fulfill({ status: 401, json: {} }));
      await page.goto('/ledger');
      await expect(page.getByLabel('Token')).toBeVisible();
      expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
      complaints.splice(0, complaints.length, ...complaints.filter((text) => !text.includes('401')));
    });
  });
}

test('the theme follows the system, a choice overrides it and stays', async ({ page }) => {
  const brightness = () =>
    page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor.match(/\d+/g)!.slice(0, 3).reduce((sum, part) => sum + Number(part), 0));
  await page.goto('/');
  expect(await brightness()).toBeGreaterThan(600);
  await page.emulateMedia({ colorScheme: 'dark' });
  expect(await brightness()).toBeLessThan(150);
  await page.getByRole('button', { name: 'Use the light theme' }).click();
  expect(await brightness()).toBeGreaterThan(600);
  await page.reload();
  expect(await brightness()).toBeGreaterThan(600);
  await expect(page.getByRole('button', { name: 'Use the dark theme' })).toBeVisible();
});

test('the graph is drawn in the colours of the theme', async ({ page }) => {
  await page.goto('/counter?key=requests:all');
  await expect.poll(() => painted(page)).toBeGreaterThan(300);
  await page.getByRole('button', { name: 'Use the dark theme' }).click();
  await expect.poll(() => painted(page)).toBeGreaterThan(300);
});

test.describe('at 360 pixels', () => {
  test.use({ viewport: { width: 360, height: 740 }, hasTouch: true });

  const longest = async () => {
    const answer = await fetch(`${server}/v1/counters?prefix=${encodeURIComponent('page:/presentations/vim/++++')}&limit=1`);
    const { counters: [counter] } = (await answer.json()) as { counters: { key: string }[] };
    expect(counter!.key.length).toBeGreaterThan(500);
    return encodeURIComponent(counter!.key);
  };

  test('nothing is wider than the screen', async ({ page }) => {
    const long = await longest();
    for (const path of [...PAGES, `/counter?key=${long}`, `/counter?key=${long}&key=status:200`, `/explain?key=${long}`, '/counters?prefix=page:/presentations/vim/']) {
      await page.goto(path);
      await settle(page);
      const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      expect(content, path).toBeLessThanOrEqual(screen!);
    }
  });

  test('nor with the longest names in the list', async ({ page }) => {
    await page.goto('/');
    await page.getByRole('combobox').fill('page:/presentations/vim/+');
    await expect(page.getByRole('option').first()).toBeVisible();
    const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    expect(content).toBeLessThanOrEqual(screen!);
  });
});

test('by keyboard alone: find, open, read the graph, zoom in and out, compare', async ({ page }) => {
  await page.goto('/');
  await expect(page.locator('.tile').first()).toBeVisible();
  await page.keyboard.press('/');
  await page.keyboard.type('requests');
  await expect(page.getByRole('listbox')).toHaveAttribute('data-answered', 'requests');
  await page.keyboard.press('ArrowDown');
  await expect(page.getByRole('combobox')).toHaveAttribute('aria-activedescendant', /.+/);
  await page.keyboard.press('Enter');
  await expect(value(page)).toHaveText('9,999');

  const focused = (locator = graph(page)) => locator.evaluate((element) => element === document.activeElement);
  await expect(graph(page)).toBeVisible();
  for (let tabs = 0; tabs < 40 && !(await focused()); tabs += 1) await page.keyboard.press('Tab');
  expect(await focused()).toBe(true);
  await page.keyboard.press('ArrowRight');
  const first = await graph(page).getAttribute('aria-valuetext');
  expect(first).toMatch(/17 May 2015.*requests:all \d+/);
  await page.keyboard.press('ArrowRight');
  await expect(graph(page)).not.toHaveAttribute('aria-valuetext', first!);
  await page.keyboard.press('+');
  await expect(page).toHaveURL(/from=.*to=/);
  await page.keyboard.press('PageDown');
  await page.keyboard.press('Escape');
  await expect(page).toHaveURL('/counter?key=requests:all');

  const compare = page.getByRole('combobox', { name: 'Add a counter to the graph' });
  for (let tabs = 0; tabs < 10 && !(await focused(compare)); tabs += 1) await page.keyboard.press('Tab');
  await page.keyboard.type('bytes');
  await expect(page.getByRole('listbox', { name: 'Add a counter to the graph' })).toHaveAttribute('data-answered', 'bytes');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL('/counter?key=requests:all&key=bytes:all');
});

test('the content security policy is strict, and no page offends it', async ({ page, request }) => {
  const answer = await request.get('/');
  const policy = answer.headers()['content-security-policy'] ?? '';
  const directives = new Map(policy.split(';').map((part) => part.trim().split(/ (.*)/s).slice(0, 2) as [string, string]));
  for (const name of ['default-src', 'base-uri', 'form-action', 'frame-ancestors']) expect(directives.get(name), name).toBe("'none'");
  for (const name of ['script-src', 'style-src', 'connect-src']) expect(directives.get(name), name).toBe("'self'");
  expect(policy).not.toContain('unsafe');

  await page.addInitScript(() => {
    Object.assign(window, { violations: [] });
    document.addEventListener('securitypolicyviolation', (event) =>
      (window as unknown as { violations: string[] }).violations.push(`${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  const foreign: string[] = [];
  page.on('request', (sent) => void (sent.url().startsWith(server) || sent.url().startsWith('data:') || foreign.push(sent.url())));
  for (const path of PAGES) {
    await page.goto(path);
    await expect(page.locator('main')).not.toBeEmpty();
    await page.waitForTimeout(200);
    expect(await page.evaluate(() => (window as unknown as { violations: string[] }).violations), path).toEqual([]);
  }
  expect(foreign).toEqual([]);
});
