import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPages, type Pages } from '../pages';

const cycles = 10;

interface Kind {
  react: 18 | 19;
  strict: boolean;
  holders: boolean;
}

// React runs things twice in its development build alone, so the strict pages are built with that.
const kinds: Kind[] = [
  { react: 19, strict: false, holders: false },
  { react: 18, strict: true, holders: false },
];
if (process.env.LEAKS === 'all') {
  kinds.push(
    { react: 19, strict: true, holders: false },
    { react: 18, strict: false, holders: false },
    { react: 19, strict: false, holders: true },
    { react: 18, strict: true, holders: true },
  );
}

let pages: Pages;

const nameOf = ({ react, strict }: Kind) => `react${react}-${strict ? 'development' : 'production'}`;

beforeAll(async () => {
  pages = await openPages();
  const built = new Set<string>();
  for (const kind of kinds) {
    if (built.has(nameOf(kind))) continue;
    built.add(nameOf(kind));
    await pages.build(path.join(import.meta.dirname, 'src/page.tsx'), nameOf(kind), kind.react, kind.strict);
  }
});

afterAll(() => pages?.close());

describe.each(kinds)('React $react, strict $strict, holders $holders', (kind) => {
  test(`after ${cycles} cycles every leak is found and nothing else`, async () => {
    const { page, errors, collect } = await pages.show(nameOf(kind), { strict: kind.strict, holders: kind.holders });
    await page.waitForFunction(() => 'matrix' in window);

    const matrix = await page.evaluate(() => ({ ...window.matrix }));
    expect(matrix.version).toMatch(new RegExp(`^${kind.react}\\.`));
    for (let i = 0; i < cycles; i++) await page.evaluate(() => window.matrix.cycle());
    for (let i = 0; i < 6; i++) {
      await page.evaluate(() => window.matrix.settle());
      await collect();
    }
    await page.evaluate(() => window.matrix.settle());
    const leaks = await page.evaluate(() => window.matrix.leaks());
    const released = await page.evaluate(() => window.matrix.released());
    const live = await page.evaluate(() => window.matrix.live());
    await page.close();

    if (process.env.LEAKS_SHOW) console.log(JSON.stringify(leaks, null, 1));
    // Where effects run twice, Portal keeps a container that no component ever rendered into: a leak too, without a name.
    const expected = [...matrix.leaking, ...(kind.strict ? ['<section>'] : [])];
    expect(leaks.map((leak) => leak.name).sort()).toEqual(expected.sort());
    const holdersOf = (name: string) => leaks.find((leak) => leak.name === name)!.holders.join();
    if (kind.holders) {
      expect(holdersOf('WindowListener')).toContain('listener of Window for resize at ');
      expect(holdersOf('Interval')).toContain('interval at ');
      expect(holdersOf('Observer')).toContain('ResizeObserver at ');
    }
    for (const leak of leaks) expect(leak.survivors, leak.name).toBe(cycles);
    // The others were not overlooked: they were released as often, and have gone.
    for (const name of matrix.clean) {
      const one = released.find((each) => each.name === name && each.kind === 'component');
      expect(one, name).toMatchObject({ released: cycles });
      expect(one!.survivors, name).toBeLessThanOrEqual(name === 'FilledPool' ? 6 : 3);
    }
    expect(live).toBe(0);
    expect(errors).toEqual([]);
  }, 60_000);
});
