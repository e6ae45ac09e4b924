// Finding counters by prefix while one types.
import { expect, test } from './tally';

test('the list answers what stands in the field', async ({ page }) => {
  await page.goto('/');
  const field = page.getByRole('combobox', { name: 'Find a counter' });
  await field.pressSequentially('status:4');
  const options = page.getByRole('option');
  await expect(page.getByRole('listbox')).toHaveAttribute('data-answered', 'status:4');
  await expect(options.filter({ hasText: 'status:404' })).toContainText('213');
  for (const text of await options.allTextContents()) expect(text).toMatch(/^status:4/);
  await options.filter({ hasText: 'status:404' }).click();
  await expect(page).toHaveURL('/counter?key=status:404');
});

test('a stale answer never replaces a newer one', async ({ page }) => {
  await page.route(/\/v1\/counters\?prefix=p&/, async (route) => {
    await new Promise((later) => setTimeout(later, 600));
    await route.continue().catch(() => undefined);
  });
  await page.goto('/ledger');
  const field = page.getByRole('combobox', { name: 'Find a counter' });
  await field.pressSequentially('pa');
  const list = page.getByRole('listbox', { name: 'Find a counter' });
  await expect(list).toHaveAttribute('data-answered', 'pa');
  await page.waitForTimeout(900);
  await expect(list).toHaveAttribute('data-answered', 'pa');
});

test('Enter without a choice shows all names with the prefix, page by page', async ({ page }) => {
  await page.goto('/');
  await page.getByRole('combobox', { name: 'Find a counter' }).fill('page:/p');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL('/counters?prefix=page:/p');
  const names = page.locator('.names li');
  await expect(names).toHaveCount(100);
  await page.getByRole('button', { name: 'Show more' }).click();
  await expect(names).toHaveCount(200);
  const keys = await names.locator('a').allTextContents();
  expect(new Set(keys).size).toBe(200);
});

test('Enter on a whole name opens it, also before the list has answered', async ({ page }) => {
  await page.route('**/v1/counters*', async (route) => {
    await new Promise((later) => setTimeout(later, 300));
    await route.continue().catch(() => undefined);
  });
  await page.goto('/ledger');
  await page.getByRole('combobox', { name: 'Find a counter' }).fill('requests:all');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL('/counter?key=requests:all');
});

test('what cannot be found is said', async ({ page }) => {
  await page.goto('/');
  await page.getByRole('combobox', { name: 'Find a counter' }).fill('no such name');
  await expect(page.getByText('No counter begins with “no such name”.')).toBeVisible();
});
