// The leak matrix with MemLens on the same components: what each of the two finds, and what it blames wrongly.
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPages, type Pages } from '../../pages';
import type { Figure } from './figures';
import { table } from './table';

const cycles = 10;

interface Kind {
  react: 18 | 19;
  strict: boolean;
  /** Whether garbage is collected before anyone is asked. */
  collected: boolean;
}

const kinds: Kind[] = [
  ...([18, 19] as const).flatMap((react) => [false, true].map((strict) => ({ react, strict, collected: true }))),
  { react: 19, strict: false, collected: false },
];
/**
 * What MemLens names, as the documents say: all but what it does not see, and two that are alive with reason. Where no
 * collection is forced it names whatever is gone and not collected yet.
 */
const lensMisses = ['Portal', 'PropsInStore', 'RefObject'];
const lensBlames = ['FilledPool', 'LastFew'];

const nameOf = ({ react, strict, collected }: Kind) =>
  `React ${react}${strict ? ', StrictMode' : ''}${collected ? '' : ', no collection forced'}`;
const pageOf = (tool: string, { react, strict }: Kind) => `${tool}-${react}${strict ? '-strict' : ''}`;

/** Parts of a kind that have a name of their own. */
const parts: Record<string, string> = { PropsReader: 'PropsInStore', ContextReader: 'ContextValue' };

/** How often each of the kinds was blamed, and how many removed elements nobody could be blamed for. */
interface Blamed {
  readonly times: Map<string, number>;
  nameless: number;
}

/** What one of the two tells of a kind of page. */
interface Told {
  readonly kind: Kind;
  readonly tool: 'memwarden' | 'MemLens';
  readonly leaks: number;
  readonly lookAlikes: number;
  readonly nameless: number;
}

/** MemLens has the engine collect before each scan where it may: one browser permits it. */
let browsers: { collecting: Pages; plain: Pages };
const browserFor = ({ collected }: Kind) => (collected ? browsers.collecting : browsers.plain);

async function runOurs(kind: Kind): Promise<Blamed & { leaking: string[]; clean: string[] }> {
  const { page, collect } = await browserFor(kind).show(pageOf('ours', kind), { strict: kind.strict });
  await page.waitForFunction(() => 'matrix' in window);
  for (let i = 0; i < cycles; i++) await page.evaluate(() => window.matrix.cycle());
  for (let i = 0; i < 6; i++) {
    await page.evaluate(() => window.matrix.settle());
    if (kind.collected) await collect();
  }
  await page.evaluate(() => window.matrix.settle());
  const leaks = await page.evaluate(() => window.matrix.leaks());
  const { leaking, clean } = await page.evaluate(() => ({ leaking: window.matrix.leaking, clean: window.matrix.clean }));
  await page.close();
  // Removed elements that no component is known for are called by their tags.
  const isNameless = ({ name }: { name: string }) => name.startsWith('<');
  const times = new Map(leaks.filter((leak) => !isNameless(leak)).map(({ name, survivors }) => [name, survivors]));
  const nameless = leaks.filter(isNameless).reduce((sum, { survivors }) => sum + survivors, 0);
  return { times, nameless, leaking, clean };
}

/**
 * MemLens tells of elements that are detached at the moment, and of fibers that were there at the scan before and are gone.
 * It scans while all is shown, and again when all is gone and, where collections are forced, they have run: that is more
 * than a page in use can offer. A kind is blamed as often as one of those later scans names it.
 */
async function runLens(kind: Kind): Promise<Blamed> {
  const { page, collect } = await browserFor(kind).show(pageOf('lens', kind), { strict: kind.strict });
  await page.waitForFunction(() => 'lens' in window);
  const blamed: Blamed = { times: new Map(), nameless: 0 };
  let components: string[] = [];
  for (let i = 0; i < cycles; i++) {
    await page.evaluate(() => window.lens.show());
    await page.evaluate(() => window.lens.hide());
    for (let j = 0; j < 2; j++) {
      await page.evaluate(() => window.lens.settle());
      if (kind.collected) await collect();
    }
    const scan = await page.evaluate(() => window.lens.scan());
    components = scan.components;
    blamed.nameless = scan.detached.filter((stack) => stack.length === 0).length;
    const named = new Set([...scan.detached.flat(), ...scan.fibers, ...scan.listeners].map((name) => parts[name] ?? name));
    for (const name of named) blamed.times.set(name, (blamed.times.get(name) ?? 0) + 1);
  }
  await page.close();
  expect(components).toContain('Page'); // it knows the page
  return blamed;
}

/** What all pages of the matrix came to: its figures, and a table that has each component. */
export interface Compared {
  readonly figures: readonly Figure[];
  readonly byComponent: string;
}

/** Has both look at each kind of page, in tests of their own, and tells what came of it when these are over. */
export function compareLeaks(tell: (compared: Compared) => unknown): void {
  describe('the leak matrix', () => {
    const rows = new Map<string, string[]>();
    const told: Told[] = [];
    const all = { leaks: 0, lookAlikes: 0 };

    beforeAll(async () => {
      browsers = { collecting: await openPages({ flags: ['--js-flags=--expose-gc'] }), plain: await openPages() };
      for (const kind of kinds) {
        const pages = browserFor(kind);
        await pages.build(path.join(import.meta.dirname, '../../leaks/src/page.tsx'), pageOf('ours', kind), kind.react, kind.strict);
        await pages.build(path.join(import.meta.dirname, 'src/lens.tsx'), pageOf('lens', kind), kind.react, kind.strict);
      }
    }, 300_000);

    afterAll(async () => {
      await browsers?.collecting.close();
      await browsers?.plain.close();
      const figures = [true, false].flatMap((collected) => {
        const where = collected ? 'collections forced' : 'no collection forced';
        const row = (name: string, tool: Told['tool'], of: 'leaks' | 'lookAlikes' | 'nameless', always?: number): Figure => ({
          name: `${name}, ${where}: ${tool}`,
          values: told.filter((one) => one.kind.collected === collected && one.tool === tool).map((one) => one[of]),
          ...(always !== undefined && { always }),
        });
        return [
          row(`kinds of leak named, of ${all.leaks}`, 'memwarden', 'leaks', collected ? all.leaks : undefined),
          row(`kinds of leak named, of ${all.leaks}`, 'MemLens', 'leaks'),
          row(`look-alikes blamed, of ${all.lookAlikes}`, 'memwarden', 'lookAlikes', 0),
          row(`look-alikes blamed, of ${all.lookAlikes}`, 'MemLens', 'lookAlikes'),
          row('removed elements told of without a component', 'memwarden', 'nameless'),
          row('removed elements told of without a component', 'MemLens', 'nameless'),
        ];
      });
      const head = ['component', ...kinds.flatMap((kind) => [`memwarden: ${nameOf(kind)}`, `MemLens: ${nameOf(kind)}`])];
      await tell({ figures, byComponent: table([head, ...[...rows].map(([name, cells]) => [name, ...cells])]) });
    });

    test.each(kinds)('React $react, strict $strict, collected $collected', async (kind) => {
      const { leaking, clean, ...ours } = await runOurs(kind);
      const lens = await runLens(kind);
      const named = (names: string[], { times }: Blamed) => names.filter((name) => times.has(name)).sort();
      for (const name of [...leaking, ...clean]) {
        const cell = ({ times }: Blamed) => (times.has(name) ? `${times.get(name)} of ${cycles}` : '–');
        rows.set(name, [...(rows.get(name) ?? []), cell(ours), cell(lens)]);
      }
      Object.assign(all, { leaks: leaking.length, lookAlikes: clean.length });
      for (const [tool, blamed] of [['memwarden', ours], ['MemLens', lens]] as const) {
        told.push({ kind, tool, leaks: named(leaking, blamed).length, lookAlikes: named(clean, blamed).length, nameless: blamed.nameless });
      }
      // Without collections nothing is known: then nothing is said. Where effects run twice, Portal keeps a container that no
      // component ever rendered into.
      expect([...ours.times.keys()].sort()).toEqual(kind.collected ? [...leaking].sort() : []);
      expect(ours.nameless).toBe(kind.collected && kind.strict ? cycles : 0);
      expect(lens.times.get('DomNode'), 'what MemLens is made for').toBe(cycles);
      const missed = kind.collected ? lensMisses : [];
      expect(named(leaking, lens), 'what the documents say of MemLens').toEqual(leaking.filter((name) => !missed.includes(name)).sort());
      expect(named(clean, lens), 'what the documents say of MemLens').toEqual(kind.collected ? lensBlames : [...clean].sort());
    }, 300_000);
  });
}
