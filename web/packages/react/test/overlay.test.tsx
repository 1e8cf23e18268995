import { act, StrictMode, type ReactNode } from 'react';
import { createRoot, hydrateRoot, type Root } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createMemoryMonitor, type HeapReading, type MemoryMonitor, type MemoryStats } from '@memwarden/client';
import { MemoryMonitorProvider, usePerformanceTracking } from '../src';
import { watchLeaks } from '../src/leaks';
import { MemoryOverlay } from '../src/overlay';
import { componentRows, count, extendTrend, formatBytes, formatDuration, warningText } from '../src/overlay/figures';
import { parseShortcut } from '../src/overlay/shortcut';

describe('figures', () => {
  const stats = (commits: Record<string, [commits: number, live: number]>): MemoryStats => ({
    ...createMemoryMonitor().stats(),
    components: Object.fromEntries(
      Object.entries(commits).map(([name, [commits, live]]) => [name, { name, commits, live, mounts: commits, unmounts: commits - live, timed: 0, totalMs: 0, longestMs: 0 }]),
    ),
  });

  test('components stand by their commits since the last look', () => {
    const rows = componentRows(stats({ Idle: [90, 3], Busy: [30, 1], New: [5, 5] }), stats({ Idle: [90, 3], Busy: [10, 1] }));
    expect(rows).toEqual([
      { name: 'Busy', commits: 20, total: 30, mounts: 30, unmounts: 29, live: 1 },
      { name: 'New', commits: 5, total: 5, mounts: 5, unmounts: 0, live: 5 },
      { name: 'Idle', commits: 0, total: 90, mounts: 90, unmounts: 87, live: 3 },
    ]);
  });

  test('the trend of the heap is bounded, and of one source', () => {
    const reading = (at: number, source: HeapReading['source'] = 'engine'): HeapReading => ({ at, source, bytes: at });
    let trend = extendTrend([], undefined);
    expect(trend).toEqual([]);
    for (let at = 1; at <= 100; at++) trend = extendTrend(trend, reading(at));
    expect(trend).toHaveLength(60);
    expect(extendTrend(trend, reading(100))).toBe(trend);
    expect(extendTrend(trend, reading(101, 'agent'))).toEqual([reading(101, 'agent')]);
  });

  test.each([
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.0 kB'],
    [48_230_000, '48.2 MB'],
    [99_960, '100 kB'],
    [999_600, '1.0 MB'],
    [123_456_789_000, '123 GB'],
    [5_000_000_000_000, '5000 GB'],
  ])('%i bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  test('numbers and warnings in words', () => {
    expect(count(1, 'entry', 'entries')).toBe('1 entry');
    expect(count(1234, 'leak')).toBe('1,234 leaks');
    expect(formatDuration(1_200)).toBe('1 second');
    expect(formatDuration(600_000)).toBe('10 minutes');
    const warning = { subject: 'Cart', value: 0.314, threshold: 0.2, at: 0 };
    expect(warningText({ ...warning, kind: 'growing_heap' })).toBe('The heap has grown by 31 %');
    expect(warningText({ ...warning, kind: 'many_commits', value: 80, threshold: 60 })).toBe('Cart: 80 commits a second, over 60');
    expect(warningText({ ...warning, kind: 'slow_commit', value: 20, threshold: 16 })).toBe('Cart: a commit takes 20 ms, over 16 ms');
    expect(warningText({ ...warning, kind: 'growing_cache', value: 1 })).toBe('Cart has grown by 1 entry');
    expect(warningText({ ...warning, kind: 'growing_instances', value: 25 })).toBe('Cart has grown by 25 live instances');
  });
});

describe('shortcuts', () => {
  const press = (init: KeyboardEventInit) => new KeyboardEvent('keydown', init);

  test('all modifiers and no other, by the key or by its place', () => {
    const is = parseShortcut('Alt+Shift+M')!;
    expect(is(press({ key: 'M', altKey: true, shiftKey: true }))).toBe(true);
    // What a Mac writes with these held.
    expect(is(press({ key: 'Â', code: 'KeyM', altKey: true, shiftKey: true }))).toBe(true);
    expect(is(press({ key: 'M', shiftKey: true }))).toBe(false);
    expect(is(press({ key: 'M', altKey: true, shiftKey: true, ctrlKey: true }))).toBe(false);
    expect(is(press({ key: 'N', code: 'KeyN', altKey: true, shiftKey: true }))).toBe(false);
    expect(parseShortcut('F8')!(press({ key: 'F8' }))).toBe(true);
    expect(parseShortcut('')).toBeUndefined();
  });

  test.each(['Cmd+K', 'Alt+', 'm', 'Shift+M', '+'])('%s is refused', (text) => {
    expect(() => parseShortcut(text)).toThrow(/^shortcut: want .* not /);
  });
});

describe('MemoryOverlay', () => {
  let container: HTMLElement;
  let root: Root;
  let monitor: MemoryMonitor;

  beforeEach(() => {
    vi.useFakeTimers();
    (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
    container = document.body.appendChild(document.createElement('div'));
    root = createRoot(container);
    monitor = createMemoryMonitor({ intervalMs: 100 });
    vi.spyOn(console, 'error');
    vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  });

  afterEach(() => {
    act(() => root.unmount());
    expect(document.querySelector('memwarden-overlay')).toBeNull();
    container.remove();
    const { calls } = vi.mocked(console.error).mock;
    vi.restoreAllMocks();
    vi.useRealTimers();
    expect(calls).toEqual([]);
  });

  const show = (node: ReactNode) => act(() => root.render(<MemoryMonitorProvider monitor={monitor}>{node}</MemoryMonitorProvider>));
  const shadow = () => document.querySelector('memwarden-overlay')!.shadowRoot!;
  const panel = () => shadow().querySelector<HTMLElement>('[role=dialog]')!;
  const press = (key: string, on: EventTarget = document, more: KeyboardEventInit = {}) =>
    on.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, composed: true, cancelable: true, ...more }));
  const shortcut = () => press('M', document, { altKey: true, shiftKey: true });

  function Cart() {
    usePerformanceTracking('Cart');
    return <p />;
  }

  test('stands beside the page, once in StrictMode too, and goes with its component', () => {
    show(
      <StrictMode>
        <MemoryOverlay />
      </StrictMode>,
    );
    expect(container.innerHTML).toBe('');
    expect(document.querySelectorAll('memwarden-overlay')).toHaveLength(1);
    show(null);
    expect(document.querySelector('memwarden-overlay')).toBeNull();
    shortcut();
  });

  test('is nothing on a server, and hydrates', () => {
    const page = (
      <MemoryMonitorProvider monitor={monitor}>
        <main>
          <MemoryOverlay defaultOpen />
        </main>
      </MemoryMonitorProvider>
    );
    const made = document.body.appendChild(document.createElement('div'));
    made.innerHTML = renderToString(page);
    expect(made.innerHTML).toBe('<main></main>');
    act(() => {
      root = hydrateRoot(made, page);
    });
    made.remove();
    expect(panel().hidden).toBe(false);
  });

  test('shows the figures of each interval while it is open', () => {
    watchLeaks(monitor);
    show([<Cart key="1" />, <Cart key="2" />, <MemoryOverlay key="3" defaultOpen />]);
    expect(panel().textContent).toContain('The first figures come after an interval');
    const caches = { entries: 7, bytes: 1234 };
    monitor.addCache('queries', () => caches);
    vi.advanceTimersByTime(100);
    const rows = [...panel().querySelectorAll('tbody tr')].map((row) => [...row.children].map((cell) => cell.textContent));
    expect(rows).toEqual([
      ['Cart', '2', '2', '2', '2', '0'],
      ['queries', '7', '–', '–', '≈ 1.2 kB'],
    ]);
    expect(panel().textContent).toContain('None found so far');
    // There is no reading of the heap here, and no bytes are made up.
    expect(panel().textContent).toContain('does not tell what the heap takes');

    // What has not changed is not drawn again: a person may be about to copy it.
    const cache = panel().querySelectorAll('tbody tr')[1];
    vi.advanceTimersByTime(100);
    expect(panel().querySelectorAll('tbody tr')[1]).toBe(cache);
    expect(panel().querySelector('tbody')!.textContent).toBe('Cart02220');
  });

  test('the shortcut opens it, Escape closes it, and the focus goes back', () => {
    show([<button key="1">page</button>, <MemoryOverlay key="2" />]);
    const button = container.querySelector('button')!;
    button.focus();
    shortcut();
    expect(panel().hidden).toBe(false);
    expect(shadow().activeElement).toBe(panel());
    press('Escape', panel());
    expect(panel().hidden).toBe(true);
    expect(document.activeElement).toBe(button);

    // Where what had the focus is gone, the button of the overlay has it.
    shortcut();
    show(<MemoryOverlay key="2" />);
    press('Escape', panel());
    expect(shadow().activeElement).toBe(shadow().querySelector('.toggle'));
  });

  test('Escape closes it from its button too, and is of the page while it is closed', () => {
    show([<MemoryOverlay key="1" defaultOpen />]);
    const toggle = shadow().querySelector<HTMLElement>('.toggle')!;
    const heard = vi.fn();
    document.addEventListener('keydown', heard);
    try {
      toggle.focus();
      press('Escape', toggle);
      expect(panel().hidden).toBe(true);
      expect(heard).not.toHaveBeenCalled();
      press('Escape', toggle);
      expect(heard).toHaveBeenCalledTimes(1);
    } finally {
      document.removeEventListener('keydown', heard);
    }
  });

  test('what is announced is new leaks and warnings, not each figure', () => {
    show([<Cart key="1" />, <MemoryOverlay key="2" />]);
    const status = shadow().querySelector('[role=status]')!;
    const said: string[] = [];
    const changes = () => said.push(status.textContent);
    const observer = new MutationObserver(changes);
    observer.observe(status, { childList: true, characterData: true, subtree: true });
    const record = monitor.component('Cart');
    vi.advanceTimersByTime(300);
    expect(observer.takeRecords()).toEqual([]);
    for (let i = 0; i < 3; i++) {
      record.commits += 100;
      vi.advanceTimersByTime(100);
    }
    expect(observer.takeRecords()).toHaveLength(1);
    expect(status.textContent).toBe('1 warning');
    observer.disconnect();
  });

  test('says so where nothing is watched, and where there is no monitor', () => {
    monitor = createMemoryMonitor({ sampleRate: 0 });
    show(<MemoryOverlay defaultOpen />);
    expect(panel().textContent).toContain('This page is not sampled');
    act(() => root.render(<MemoryOverlay />));
    expect(console.warn).toHaveBeenCalledWith(expect.stringContaining('no MemoryMonitorProvider'));
  });
});
