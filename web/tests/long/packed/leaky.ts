import type { Page } from 'playwright-core';

/** Opens and closes the panel of the example, and waits until the page shows that. */
export async function useOnce(page: Page): Promise<void> {
  const press = () => page.getByRole('button').click();
  await press();
  await press();
  await page.waitForFunction(() => document.querySelector('pre')!.innerText.includes('"mounts":1,"unmounts":1,"live":0'));
}

/** Opens and closes the panel of the example until the page says that it leaks; tells how many are still there, and of how many. */
export async function findLeak(page: Page, collect: () => Promise<void>): Promise<{ survivors: number; released: number }> {
  const press = () => page.getByRole('button').click();
  const shown = () => page.locator('pre').innerText();
  for (let i = 0; i < 24; i++) await press();
  await page.waitForFunction(() => document.querySelector('pre')!.innerText.includes('"mounts":12,"unmounts":12,"live":0'));
  // Something is called a leak only after a while, after collections, and while the page is in use.
  while (!(await shown()).includes('are still there')) {
    await press();
    await collect();
    await page.waitForTimeout(250);
  }
  const [, survivors, released] = /Panel: (\d+) of (\d+) are still there: .*listener of Window for resize at /.exec(await shown()) ?? [];
  return { survivors: Number(survivors), released: Number(released) };
}
