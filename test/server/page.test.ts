// The server's page in Chromium: it chats, shows figures, loads nothing from elsewhere, and its policy holds. Skipped where
// Chromium is missing. With TESSERAE_SCREENSHOTS, a folder, it leaves pictures there.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningServer, startServer } from './running-server.js';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path));
if (executablePath === undefined)
  process.stdout.write('page.test.ts: skipped, because there is no /usr/bin/chromium\n');

/** Browsers are slow on a busy machine. */
const patient = { timeout: 15_000, interval: 10 };
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
const offline = ['--disable-component-update', '--disable-sync'];

describe.skipIf(executablePath === undefined)('the page', () => {
  let running: RunningServer;
  let browser: Browser;
  beforeAll(async () => {
    const launched = chromium.launch({ executablePath: executablePath as string, args: [...flags, ...offline] });
    [running, browser] = await Promise.all([startServer({ apiKeys: ['secret'] }), launched]);
  });
  afterAll(async () => {
    await browser?.close();
    await running?.stop();
  });

  test('chats and shows figures, with a key, and within its policy', async () => {
    const page = await browser.newPage({ viewport: { width: 1100, height: 720 } });
    const problems: string[] = [];
    const hosts = new Set<string>();
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('request', (request) => {
      if (!request.url().startsWith('data:')) hosts.add(new URL(request.url()).origin);
    });
    await page.goto(running.url);
    await expect.poll(() => page.textContent('#problem'), patient).toMatch(/an API key is needed/);
    await page.fill('#key', 'secret');
    await page.press('#key', 'Tab');
    await expect.poll(() => page.inputValue('#model'), patient).toBe('tiny');
    await expect.poll(() => page.textContent('#requests'), patient).toMatch(/^[0-9]+ of 512$/);
    await page.fill('#temperature', '0');
    await page.fill('#tokens', '40');
    await page.fill('#input', '<b>The history</b> of the sea');
    await page.press('#input', 'Enter');
    await expect.poll(() => page.textContent('#count'), patient).toBe('40');
    const { content } = (await running.client.chat.completions
      .create({
        model: 'tiny',
        temperature: 0,
        max_tokens: 40,
        messages: [{ role: 'user', content: '<b>The history</b> of the sea' }],
      })
      .then(({ choices }) => choices[0]?.message)) as { content: string };
    expect(await page.textContent('.assistant')).toBe(content);
    expect(await page.textContent('.user')).toBe('<b>The history</b> of the sea');

    await page.fill('#tokens', '440');
    await page.fill('#input', 'And the government');
    // Stops at the first text, within the page: a click from here may come too late on a busy machine.
    await page.evaluate(`new MutationObserver(() => {
      const [, answer] = document.querySelectorAll('.assistant');
      if (answer && answer.textContent !== '') document.getElementById('stop').click();
    }).observe(document.getElementById('messages'), { subtree: true, childList: true })`);
    await page.click('#send');
    await expect.poll(() => page.locator('.assistant').nth(1).textContent(), patient).not.toBe('');
    await expect.poll(() => page.isEnabled('#send'), patient).toBe(true);
    await expect.poll(() => running.engine.pressure().running, patient).toBe(0);
    // That of the answer before: this one has no end.
    expect(await page.textContent('#count')).toBe('40');
    await screenshot(page, 'chat.png');

    // A script of a message would need leave of the policy.
    const ran = await page.evaluate(`
      document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.ran = true' }));
      window.ran === true;
    `);
    expect(ran).toBe(false);
    await page.setViewportSize({ width: 420, height: 800 });
    await screenshot(page, 'narrow.png');
    expect([...hosts]).toEqual([running.url]);
    expect(problems).toEqual([]);
    await page.close();
  });
});

async function screenshot(page: { screenshot(options: { path: string }): Promise<unknown> }, name: string) {
  const folder = process.env.TESSERAE_SCREENSHOTS;
  if (folder !== undefined) await page.screenshot({ path: join(folder, name) });
}
