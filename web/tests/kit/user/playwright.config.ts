import { defineConfig } from '@playwright/test';

/** Whether of all pages but the first only the verdicts are looked at. */
const quick = process.env.KIT_QUICK === 'yes';

// As a user has it, but for the browser, which is Debian's.
export default defineConfig({
  projects: process.env.KIT_PAGES!.split(',').map((name, i) => ({ name, ...(i && quick ? { grep: /that leaks|looks like/ } : {}) })),
  forbidOnly: true,
  timeout: 60_000,
  fullyParallel: true,
  workers: 2,
  use: {
    baseURL: process.env.KIT_ADDRESS!,
    launchOptions: {
      executablePath: process.env.CHROMIUM!,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    },
  },
});
