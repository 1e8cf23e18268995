import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPages, type Pages, type Shown } from '../pages';

const cycles = 10;
const all = process.env.LEAKS === 'all';

interface Kind {
  react: 18 | 19;
  build: 'production' | 'development';
  /** Whether the page is in StrictMode; React then runs things twice, but in its development build alone. */
  strict: boolean;
  holders?: boolean;
}

const kinds: Kind[] = [
  { react: 19, build: 'production', strict: false },
  { react: 18, build: 'development', strict: true },
];
if (all) {
  kinds.push(
    { react: 18, build: 'production', strict: false },
    { react: 18, build: 'production', strict: true },
    { react: 19, build: 'production', strict: true },
    { react: 18, build: 'development', strict: false },
    { react: 19, build: 'development', strict: false },
    { react: 19, build: 'development', strict: true },
    { react: 19, build: 'production', strict: false, holders: true },
    { react: 18, build: 'development', strict: true, holders: true },
  );
}
/** Pages whose watch has its default options, which take their time. */
const patient = all ? [...kinds.slice(0, 2).map((kind) => ({ ...kind, forced: true })), { ...kinds[0]!, forced: false }] : [];

let pages: Pages;

const nameOf = ({ react, build }: Kind) => `react${react}-${build}`;

beforeAll(async () => {
  pages = await openPages();
  for (const name of new Set(kinds.map(nameOf))) {
    const { react, build } = kinds.find((kind) => nameOf(kind) === name)!;
    await pages.build(path.join(import.meta.dirname, 'src/page.tsx'), name, react, build === 'development');
  }
});

afterAll(() => pages?.close());

/** Shows a page of the matrix, and has all that it shows come and go, with a pause after each time. */
async function showMatrix(kind: Kind, options: Partial<Window['options']> = {}, pauseMs = 0): Promise<Shown> {
  const shown = await pages.show(nameOf(kind), { strict: kind.strict, holders: kind.holders, ...options });
  await shown.page.waitForFunction(() => 'matrix' in window);
  for (let i = 0; i < cycles; i++) {
    await shown.page.evaluate(() => window.matrix.cycle());
    if (pauseMs) await shown.page.waitForTimeout(pauseMs);
  }
  return shown;
}

/** Has garbage collected, while the page is in use. */
async function settle({ page, collect }: Shown, times = 6): Promise<void> {
  for (let i = 0; i < times; i++) {
    await page.evaluate(() => window.matrix.settle());
    await collect();
  }
  await page.evaluate(() => window.matrix.settle());
}

const read = async ({ page }: Shown) => ({
  version: await page.evaluate(() => window.matrix.version),
  leaking: await page.evaluate(() => window.matrix.leaking),
  clean: await page.evaluate(() => window.matrix.clean),
  leaks: await page.evaluate(() => window.matrix.leaks()),
  released: await page.evaluate(() => window.matrix.released()),
  live: await page.evaluate(() => window.matrix.live()),
});

type Matrix = Awaited<ReturnType<typeof read>>;

// Where effects run twice, Portal keeps a container that no component ever rendered into: a leak too, without a name.
const expectedOf = ({ build, strict }: Kind, leaking: string[]) =>
  [...leaking, ...(build === 'development' && strict ? ['<section>'] : [])].sort();

/** Every leak was found and nothing else; and the others were not overlooked: they were released as often, and have gone. */
function expectVerdict(kind: Kind, { version, leaking, clean, leaks, released, live }: Matrix): void {
  expect(version).toMatch(new RegExp(`^${kind.react}\\.`));
  expect(leaks.map((leak) => leak.name).sort()).toEqual(expectedOf(kind, leaking));
  for (const leak of leaks) expect(leak.survivors, leak.name).toBe(cycles);
  for (const name of clean) {
    const one = released.find((each) => each.name === name && each.kind === 'component');
    expect(one, name).toMatchObject({ released: cycles });
    expect(one!.survivors, name).toBeLessThanOrEqual(name === 'FilledPool' ? 6 : 3);
  }
  expect(live).toBe(0);
}

/** What the book of holders has of a kind: what it is that was not removed. Of the others it knows nothing. */
const holding: Record<string, string> = {
  WindowListener: 'listener of Window for resize',
  Interval: 'setInterval',
  Observer: 'ResizeObserver',
  NeverAborted: 'listener of AbortSignal for abort',
  ClassMethod: 'listener of Window for online',
};
const unknown = 'a closure, a store or a promise';

describe.each(kinds)('React $react, $build, strict $strict, holders $holders', (kind) => {
  test(`after ${cycles} cycles every leak is found and nothing else`, async () => {
    const shown = await showMatrix(kind);
    await settle(shown);
    const matrix = await read(shown);
    await shown.page.close();

    if (process.env.LEAKS_SHOW) console.log(JSON.stringify(matrix.leaks, null, 1));
    expectVerdict(kind, matrix);
    // All of them have grown by as many, so each is told of all.
    for (const leak of kind.holders ? matrix.leaks : []) {
      expect(leak.holders.map((line) => line.replace(/ at .*/, '')).sort(), leak.name).toEqual(Object.values(holding).sort());
    }
    expect(shown.errors).toEqual([]);
  }, 60_000);
});

test('what holds a leak is told where it can be known, and is not made up elsewhere', async () => {
  const [kind] = kinds as [Kind];
  const empty = await pages.show(nameOf(kind), { kinds: [] });
  await empty.page.waitForFunction(() => 'matrix' in window);
  const { leaking } = await read(empty);
  await empty.page.close();
  // On a page of its own each is told exactly what holds it. Together all grow by as many, so each is told of all of them;
  // where nothing grows nobody is told of anything.
  const known = Object.keys(holding);
  const groups = all ? leaking.map((name) => [name]) : [known, leaking.filter((name) => !known.includes(name))];
  const told = await Promise.all(
    groups.map(async (names) => {
      const shown = await showMatrix(kind, { kinds: names, holders: true });
      await settle(shown, 3);
      const { leaks } = await read(shown);
      await shown.page.close();
      expect(shown.errors).toEqual([]);
      return leaks.map(({ name, survivors, holders }) => [name, survivors, ...holders.map((line) => line.replace(/ at .*:\d+:\d+\)?: /, ', ')).sort()]);
    }),
  );
  const expected = groups.flatMap((names) => {
    const lines = names.filter((name) => name in holding).map((name) => `${holding[name]}, ${cycles} not removed`);
    return names.map((name) => [name, cycles, ...(lines.length ? lines.sort() : [unknown])]);
  });
  expect(told.flat().sort()).toEqual(expected.sort());
}, 60_000);

test('what only looks like a leak goes as well while book is kept of holders', async () => {
  const [kind] = kinds as [Kind];
  const empty = await pages.show(nameOf(kind), { kinds: [] });
  await empty.page.waitForFunction(() => 'matrix' in window);
  const { clean } = await read(empty);
  await empty.page.close();
  const shown = await showMatrix(kind, { kinds: clean, holders: true });
  await settle(shown);
  expectVerdict(kind, { ...(await read(shown)), leaking: [] });
  await shown.page.close();
  expect(shown.errors).toEqual([]);
}, 60_000);

describe.each(patient)('React $react, $build, strict $strict, options as they are by default, collections forced $forced', ({ forced, ...kind }) => {
  test('every leak is found and nothing else, as the page goes on', async () => {
    // At the pace of a user: what is released between two of its looks is one release to the watch, and one is no leak.
    const began = Date.now();
    const shown = await showMatrix(kind, { defaults: true }, 2_000);
    // The watch looks by itself, while the browser has nothing else to do; it gives what survives ten seconds.
    // Where no collection is forced it waits for those that the browser does by itself.
    const names = async () => {
      if (forced) await settle(shown, 1);
      else {
        await shown.page.evaluate(() => window.matrix.work());
        await shown.page.evaluate(() => window.matrix.settle());
      }
      return (await read(shown)).leaks.map((leak) => leak.name).sort();
    };
    const expected = expectedOf(kind, (await read(shown)).leaking);
    const timeout = forced ? 90_000 : 400_000;
    await expect.poll(names, { timeout, interval: 500 }).toEqual(expected);
    // What is only late has gone in the meantime, and what was found stays so.
    const since = Date.now();
    await expect.poll(async () => [await names(), Date.now() - since > 20_000], { timeout, interval: 500 }).toEqual([expected, true]);
    if (process.env.LEAKS_SHOW) console.log(`found after ${Math.round((since - began) / 1000)} s`);
    // Of the others each release has had its time too.
    const early = async () => {
      await names();
      const { clean, released } = await read(shown);
      return clean.filter((name) => !released.some((one) => one.name === name && one.kind === 'component' && one.released === cycles));
    };
    await expect.poll(early, { timeout, interval: 500 }).toEqual([]);
    expectVerdict(kind, await read(shown));
    await shown.page.close();
    expect(shown.errors).toEqual([]);
  }, 900_000);
});
