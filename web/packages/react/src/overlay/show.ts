import type { MemoryMonitor } from '@memwarden/client';
import { leakWatchOf } from '../leaks/watch';
import { el } from './dom';
import { count, extendTrend, formatBytes } from './figures';
import { createSections, type Figures } from './sections';
import { parseShortcut } from './shortcut';
import { styles } from './styles';

export type OverlayPosition = 'bottom-right' | 'bottom-left' | 'top-right' | 'top-left';

export interface OverlayOptions {
  readonly position: OverlayPosition;
  readonly shortcut: string;
  readonly open: boolean;
}

const style = (shadow: ShadowRoot) => {
  // A sheet that is made by a script is allowed by every Content-Security-Policy. Where there are none, as in jsdom, nobody looks.
  if (!('adoptedStyleSheets' in shadow)) return;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(styles);
  shadow.adoptedStyleSheets = [sheet];
};

/** What the button tells, and in plain words what a screen reader is told of when it changes. */
function summary({ now, leaks }: Figures): { text: string; news: string } {
  const news = [
    ...(leaks?.length ? [count(leaks.length, 'leak')] : []),
    ...(now.warnings.length ? [count(now.warnings.length, 'warning')] : []),
  ];
  return { text: [...(now.heap ? [formatBytes(now.heap.bytes)] : []), ...news].join(', ') || 'no figures yet', news: news.join(', ') };
}

/** Shows a monitor's figures in a corner of the page; returns what takes them away. */
export function showOverlay(monitor: MemoryMonitor, { position, shortcut, open }: OverlayOptions): () => void {
  const isShortcut = parseShortcut(shortcut);
  const host = document.createElement('memwarden-overlay');
  const shadow = host.attachShadow({ mode: 'open' });
  style(shadow);

  const text = el('span');
  const toggle = el('button', { type: 'button', class: 'toggle', 'aria-expanded': 'false', 'aria-controls': 'panel' }, el('span', { class: 'hidden' }, 'Memory of this page: '), text);
  if (shortcut) toggle.setAttribute('aria-keyshortcuts', shortcut);
  const close = el('button', { type: 'button', class: 'close', 'aria-label': 'Close' }, '×');
  const sections = createSections();
  const unsampled = 'This page is not sampled: nothing of it is watched.';
  const panel = el(
    'div',
    { id: 'panel', class: 'panel', role: 'dialog', 'aria-labelledby': 'title', tabindex: '-1', hidden: '' },
    el('header', {}, el('b', { id: 'title' }, 'Memory of this page'), close),
    ...(monitor.sampled ? sections.map(({ element }) => element) : [el('p', { class: 'note' }, unsampled)]),
  );
  const status = el('p', { role: 'status', class: 'hidden' });
  const aside = el('aside', { 'aria-label': 'memwarden', 'data-position': position }, toggle, panel, status);
  shadow.append(aside);

  let now = monitor.stats();
  let before = now;
  let trend = extendTrend([], now.heap);
  let told = '';
  let isOpen = false;
  /** Where the focus was before the panel was opened. */
  let opener: Element | null = null;

  const draw = () => {
    const figures: Figures = { now, before, trend, leaks: leakWatchOf(monitor)?.leaks() };
    const { text: words, news } = summary(figures);
    text.textContent = monitor.sampled ? words : 'not sampled';
    toggle.classList.toggle('alarming', news !== '');
    if (news !== told) status.textContent = told = news;
    if (isOpen) sections.forEach((section) => section.update(figures));
  };

  const setOpen = (opened: boolean, focus = true) => {
    if (opened === isOpen) return;
    const within = shadow.activeElement;
    if (opened) opener = within ?? document.activeElement;
    isOpen = opened;
    panel.hidden = !opened;
    toggle.setAttribute('aria-expanded', String(opened));
    draw();
    if (opened && focus) panel.focus();
    // Somebody who has gone on in the page stays there.
    if (!opened && within) (opener instanceof HTMLElement && opener !== document.body && opener.isConnected ? opener : toggle).focus();
    // It may be removed from the page, and is not to be kept alive here.
    if (!opened) opener = null;
  };

  const onKey = (event: KeyboardEvent) => {
    if (!isShortcut?.(event)) return;
    event.preventDefault();
    setOpen(!isOpen);
  };

  toggle.addEventListener('click', () => setOpen(!isOpen));
  close.addEventListener('click', () => setOpen(false));
  aside.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !isOpen) return;
    // It is this panel that was to be closed, and nothing of the page.
    event.stopPropagation();
    setOpen(false);
  });
  document.addEventListener('keydown', onKey);
  const unsubscribe = monitor.subscribe(() => {
    before = now;
    now = monitor.stats();
    trend = extendTrend(trend, now.heap);
    draw();
  });

  document.body.append(host);
  draw();
  // As the page comes the focus stays where it is.
  if (open) setOpen(true, false);
  return () => {
    unsubscribe();
    document.removeEventListener('keydown', onKey);
    host.remove();
  };
}
