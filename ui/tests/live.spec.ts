// Values and graph follow what is counted while one looks.
import { add, expect, freshKey, graph, test, value } from './tally';

test('value and graph change as adds come in', async ({ page, request }) => {
  const key = freshKey('live');
  await add(request, key, 5);
  await page.goto(`/counter?key=${encodeURIComponent(key)}`);
  await expect(value(page)).toHaveText('5');
  await expect(page.getByRole('status').filter({ hasText: /^live$/ })).toBeVisible();
  await add(request, key, 7);
  await expect(value(page)).toHaveText('12');
  await expect(page.locator('.counter-head .figures dd').first()).toHaveText('12');
  await add(request, key, -20);
  await expect(value(page)).toHaveText('-8');
  await expect(graph(page)).toBeVisible();
});

test('a value beyond 2^53 keeps every digit', async ({ page, request }) => {
  const key = freshKey('large');
  const answer = await request.post('/v1/add', {
    headers: { 'content-type': 'application/json' },
    data: `{"adds":[{"key":${JSON.stringify(key)},"amount":9007199254740993}]}`,
  });
  expect(answer.ok()).toBe(true);
  await page.goto(`/counter?key=${encodeURIComponent(key)}`);
  await expect(value(page)).toHaveText('9,007,199,254,740,993');
  await expect(page.locator('.counter-head .figures dd').first()).toHaveText('9,007,199,254,740,993');
});

test('a page opened before the first add shows it', async ({ page, request }) => {
  const key = freshKey('first');
  await page.goto(`/counter?key=${encodeURIComponent(key)}`);
  await expect(value(page)).toHaveText('not there');
  await add(request, key, 3);
  await expect(value(page)).toHaveText('3');
});
