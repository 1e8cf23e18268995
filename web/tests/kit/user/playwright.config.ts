import { defineConfig } from '@playwright/test';

// Where time is short: what is tagged so, and of pages after the first only whether leaks are named.
const quick = (page: number) => (process.env.KIT_QUICK ? { grep: page ? /@quick.*named/ : /@quick/ } : {});

// As a user has it, but for the browser, which is Debian's or the one that is named.
export default defineConfig({
  projects: process.env.KIT_PAGES!.split(',').map((name, page) => ({ name, testIgnore: page ? ['failing*', 'example*'] : [], ...quick(page) })),
  forbidOnly: true,
  timeout: 180_000,
  fullyParallel: true,
  workers: 2,
  use: {
    baseURL: process.env.KIT_ADDRESS!,
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    },
  },
});
