import { expect, test as base } from '@playwright/test';
import { fixtures, type LeakFixtures } from '@memwarden/react/testing';

const test = base.extend<LeakFixtures>(fixtures);

// It fails, and what Playwright then shows is looked at.
test('@quick the view leaks nothing', async ({ page, expectNoLeaks }, { project }) => {
  const options = { kinds: ['WindowListener', 'RemovedListener'] };
  await page.goto(`/?script=${project.name}&options=${encodeURIComponent(JSON.stringify(options))}`);
  await expectNoLeaks(async () => {
    await page.getByRole('button', { name: 'open' }).click();
    await expect(page.locator('section > *')).toHaveCount(2);
    await page.getByRole('button', { name: 'close' }).click();
    await expect(page.locator('section > *')).toHaveCount(0);
  });
});
