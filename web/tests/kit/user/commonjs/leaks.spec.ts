import { expect, test as base } from '@playwright/test';
import { fixtures, type LeakFixtures } from '@memwarden/react/testing';

const test = base.extend<LeakFixtures>(fixtures);

test('@quick a project of CommonJS has it too', async ({ page, expectNoLeaks }, { project }) => {
  await page.goto(`/?script=${project.name}&options=${encodeURIComponent('{"kinds":["RemovedListener"]}')}`);
  const { leaks } = await expectNoLeaks(
    async () => {
      await page.getByRole('button', { name: 'open' }).click();
      await page.getByRole('button', { name: 'close' }).click();
      await expect(page.locator('section > *')).toHaveCount(0);
    },
    { cycles: 5 },
  );
  expect(leaks).toEqual([]);
});
