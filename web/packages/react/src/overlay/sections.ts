import type { HeapReading, MemoryStats } from '@memwarden/client';
import type { LeakReport } from '../leaks/watch';
import { el, sparkline, table, type Child } from './dom';
import { cacheCells, componentRows, formatBytes, formatDuration, formatNumber, formatTime, sourceNames, warningText, type ComponentRow } from './figures';

/** All that is shown. */
export interface Figures {
  readonly now: MemoryStats;
  /** The figures of the interval before. */
  readonly before: MemoryStats;
  /** Readings of the heap, of one source. */
  readonly trend: readonly HeapReading[];
  /** Undefined where nobody watches for leaks. */
  readonly leaks: readonly LeakReport[] | undefined;
}

/** A part of the panel. */
export interface Section {
  readonly element: HTMLElement;
  update(figures: Figures): void;
}

const maxRows = 15;
const maxWarnings = 10;
const maxTextLeaks = 20;

/** Something that is drawn anew only when what it shows has changed: what a person selects or reads stays. */
function drawn<T>(element: HTMLElement, read: (figures: Figures) => T, draw: (shown: T) => readonly Child[]): Section {
  let last: string | undefined;
  return {
    element,
    update(figures) {
      const shown = read(figures);
      const key = JSON.stringify(shown) ?? '';
      if (key === last) return;
      last = key;
      element.replaceChildren(...draw(shown));
    },
  };
}

/** A section that can be closed. Its title has the number of things in it, which stands out if they are none to have. */
function folding<T>(title: string, bad: boolean, read: (figures: Figures) => T, number: (shown: T) => number, draw: (shown: T) => readonly Child[]): Section {
  const badge = el('span', { class: 'badge' });
  const body = drawn(el('div', { class: 'body' }), read, draw);
  const element = el('details', { open: '' }, el('summary', {}, title, badge), body.element);
  return {
    element,
    update(figures) {
      const some = number(read(figures));
      badge.textContent = formatNumber(some);
      element.classList.toggle('alarming', bad && some > 0);
      body.update(figures);
    },
  };
}

const note = (text: string) => el('p', { class: 'note' }, text);

const more = (all: number, shown: number) => (all > shown ? [note(`and ${formatNumber(all - shown)} more`)] : []);

function heapContent({ heap, trend }: { heap: HeapReading | undefined; trend: readonly HeapReading[] }): Child[] {
  if (!heap) return [note('This browser does not tell what the heap takes, or it has not been read yet.')];
  const first = trend[0]!;
  const grown = heap.bytes - first.bytes;
  const time = formatDuration(heap.at - first.at);
  const line = sparkline(
    trend.map(({ bytes }) => bytes),
    `from ${formatBytes(first.bytes)} to ${formatBytes(heap.bytes)} in ${time}`,
  );
  return [
    el(
      'p',
      { class: 'heap' },
      el('strong', {}, formatBytes(heap.bytes)),
      line ? ` ${grown < 0 ? '−' : '+'}${formatBytes(Math.abs(grown))} in ${time}` : '',
    ),
    ...(line ? [line] : []),
    note(sourceNames[heap.source]),
  ];
}

function renderContent(rows: readonly ComponentRow[]): Child[] {
  if (!rows.length) return [note('No component is counted: call usePerformanceTracking(name) in those that matter.')];
  const cells = rows
    .slice(0, maxRows)
    .map(({ name, commits, live, total, mounts, unmounts }): [string, ...Child[]] => [
      name,
      commits ? el('b', {}, formatNumber(commits)) : '0',
      formatNumber(live),
      formatNumber(total),
      formatNumber(mounts),
      formatNumber(unmounts),
    ]);
  const titles = ['Component', 'Commits', 'Live', 'Total', 'Mounts', 'Unmounts'];
  return [table('Commits since the last look, live instances, and commits, mounts and unmounts in all', titles, cells), ...more(rows.length, maxRows)];
}

function leakContent(leaks: Figures['leaks']): Child[] {
  if (!leaks) return [note('Nobody looks for leaks: call watchLeaks(monitor).')];
  if (!leaks.length) return [note('None found so far.')];
  const items = leaks.slice(0, maxTextLeaks).map(({ kind, name, owners, released, survivors, holders }) =>
    el(
      'li',
      {},
      el('b', {}, name),
      ` ${kind}, ${formatNumber(survivors)} of ${formatNumber(released)} are still there`,
      ...(owners.length ? [el('p', { class: 'owners' }, 'in ' + owners.join(' ‹ '))] : []),
      ...(holders.length ? [el('ul', { 'aria-label': 'Probably held by' }, ...holders.map((holder) => el('li', {}, holder)))] : []),
    ),
  );
  return [el('ul', { class: 'leaks' }, ...items), ...more(leaks.length, maxTextLeaks)];
}

function cacheContent(caches: MemoryStats['caches']): Child[] {
  const rows = Object.entries(caches).map(([name, stats]): [string, ...Child[]] => [name, ...cacheCells(stats)]);
  if (!rows.length) return [note('No cache is watched.')];
  return [table('Entries of caches', ['Cache', 'Entries', 'Inactive', 'Never collected', 'Bytes'], rows)];
}

function warningContent(warnings: MemoryStats['warnings']): Child[] {
  if (!warnings.length) return [note('None so far.')];
  const items = warnings
    .slice(-maxWarnings)
    .reverse()
    .map((warning) => el('li', {}, el('time', {}, formatTime(warning.at)), ' ', warningText(warning)));
  return [el('ul', { class: 'warnings' }, ...items), ...more(warnings.length, maxWarnings)];
}

function selfText({ now, before }: Figures): string {
  const { ms, share, off } = now.self;
  if (off) return `The monitor has turned itself off: it took too much of the page's time (${Math.round(ms)} ms).`;
  if (now === before) return 'The first figures come after an interval of the monitor.';
  return `Figures of ${formatTime(now.at)}, ${formatDuration(now.at - before.at)} after those before. The monitor takes ${(share * 100).toFixed(2)} % of the page's time, ${Math.round(ms)} ms in all.`;
}

/** All sections, in their order. */
export function createSections(): Section[] {
  return [
    drawn(el('section', { 'aria-label': 'Heap' }), ({ now: { heap }, trend }) => ({ heap, trend }), heapContent),
    folding('Renders', false, ({ now, before }) => componentRows(now, before), (rows) => rows.length, renderContent),
    folding('Leaks', true, ({ leaks }) => leaks, (leaks) => leaks?.length ?? 0, leakContent),
    folding('Caches', false, ({ now }) => now.caches, (caches) => Object.keys(caches).length, cacheContent),
    folding('Warnings', true, ({ now }) => now.warnings, (warnings) => warnings.length, warningContent),
    drawn(el('footer'), selfText, (text) => [note(text)]),
  ];
}
