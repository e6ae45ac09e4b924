// What the tests share: the server's address, and a page that fails its test when the browser complains.
import { type APIRequestContext, type Page, test as base, expect } from '@playwright/test';

function fromEnvironment(name: string): string {
  const url = process.env[name];
  if (!url) throw new Error(`${name} must be the URL of a running server; \`cargo xtask test\` starts one`);
  return url.replace(/\/$/, '');
}

/** A server that has counted the sample. */
export const server = fromEnvironment('TALLY_URL');

/** A server with the counters load:000000 to load:099999. */
export const largeServer = () => fromEnvironment('TALLY_URL_LARGE');

/** Script errors, failed resources and violations of the content security policy, as the browser reports them. */
export const test = base.extend<{ complaints: string[] }>({
  complaints: [
    async ({ page }, use) => {
      const complaints: string[] = [];
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
      });
      await use(complaints);
      expect(complaints).toEqual([]);
    },
    { auto: true },
  ],
  baseURL: server,
});

export { type Page, expect };

export const value = (page: Page) => page.locator('.counter-value');

export const graph = (page: Page) => page.getByRole('slider', { name: /^Graph/ });

export async function add(request: APIRequestContext, key: string, amount: number): Promise<void> {
  const answer = await request.post(`${server}/v1/add`, { data: { adds: [{ key, amount }] } });
  expect(answer.ok(), await answer.text()).toBe(true);
}

/** A name no other test uses. */
export const freshKey = (what: string): string => `ui_test:${what} ${Date.now()}-${Math.floor(Math.random() * 1e6)}/ü`;

/** How many pixels of the graph have exactly a line's colour. */
export const painted = (page: Page, line = 1): Promise<number> =>
  page.locator('.graph canvas').evaluate((canvas: HTMLCanvasElement, line) => {
    const probe = document.createElement('i');
    probe.style.color = `var(--series-${line})`;
    document.body.append(probe);
    const [red, green, blue] = getComputedStyle(probe).color.match(/\d+/g)!.map(Number);
    probe.remove();
    // Read from a copy: the graph's own canvas stays as fast as it is for people.
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true })!;
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    let pixels = 0;
    for (let at = 0; at < data.length; at += 4) {
      if (data[at] === red && data[at + 1] === green && data[at + 2] === blue && data[at + 3] === 255) pixels += 1;
    }
    return pixels;
  }, line);

/** Drags over a part of the graph, given in shares of its width. */
export async function drag(page: Page, from: number, to: number): Promise<void> {
  const box = (await page.locator('.graph .u-over').boundingBox())!;
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width * from, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * ((from + to) / 2), y, { steps: 4 });
  await page.mouse.move(box.x + box.width * to, y, { steps: 4 });
  await page.mouse.up();
}

/** The sum of one counter's column in the table below the graph. */
export async function tableSum(page: Page, line = 0): Promise<bigint> {
  const cells = await page.locator('.step-table tbody tr').evaluateAll(
    (rows, line) => rows.map((row) => row.querySelectorAll('td')[line]!.textContent ?? ''),
    line,
  );
  return cells.reduce((sum, text) => sum + BigInt(text.replaceAll(',', '')), 0n);
}
