/* Components that look like those that leak, and do not. */
import { lazy, Suspense, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { createPortal } from 'react-dom';
import { useLeakTracking } from '@memwarden/react/leaks';
import { pending, store } from './store';

export function RemovedListener() {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const update = () => setWidth(window.innerWidth);
    window.addEventListener('resize', update);
    return () => window.removeEventListener('resize', update);
  }, []);
  return <p>{width}</p>;
}

export function ClearedInterval() {
  const [ticks, setTicks] = useState(0);
  useEffect(() => {
    const id = setInterval(() => setTicks((n) => n + 1), 60_000);
    return () => clearInterval(id);
  }, []);
  return <p>{ticks}</p>;
}

const lastFew: (() => void)[] = [];

/** Keeps the last three of all, as an undo list does. */
export function LastFew() {
  const [value, setValue] = useState(0);
  useEffect(() => {
    lastFew.push(() => setValue(1));
    if (lastFew.length > 3) lastFew.shift();
  }, []);
  return <p>{value}</p>;
}

const firstFew: (() => void)[] = [];

/** A pool that is filled once. */
export function FilledPool() {
  const [value, setValue] = useState(0);
  useEffect(() => {
    if (firstFew.length < 6) firstFew.push(() => setValue(1));
  }, []);
  return <p>{value}</p>;
}

/** Holds itself for a while after its end, as what waits for an animation does. */
export function DelayedEnd() {
  const [value, setValue] = useState(0);
  useEffect(
    () => () => {
      pending.count++;
      setTimeout(() => {
        setValue(1);
        pending.count--;
      }, 300);
    },
    [],
  );
  return <p>{value}</p>;
}

const weak = new Set<WeakRef<() => void>>();

export function WeakCallback() {
  const [value, setValue] = useState(0);
  useEffect(() => void weak.add(new WeakRef(() => setValue(1))), []);
  return <p>{value}</p>;
}

export function AbortedSignal() {
  const [key, setKey] = useState('');
  useEffect(() => {
    const controller = new AbortController();
    window.addEventListener('keydown', (event) => setKey(event.key), { signal: controller.signal });
    return () => controller.abort();
  }, []);
  return <p>{key}</p>;
}

const ofThePage = new AbortController();

/** Its signal is the page's, and never aborted: the listener is removed. */
export function LongLivedSignal() {
  const [key, setKey] = useState('');
  useEffect(() => {
    const update = (event: KeyboardEvent) => setKey(event.key);
    window.addEventListener('keyup', update, { signal: ofThePage.signal });
    return () => window.removeEventListener('keyup', update);
  }, []);
  return <p>{key}</p>;
}

const shelf = document.createElement('div');

/** An editor or a map that is too dear to make again: its element is put aside, and comes back. */
export function KeptAlive() {
  const ref = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const place = ref.current!;
    if (!shelf.firstChild) shelf.append(document.createElement('canvas'));
    const dear = shelf.firstElementChild!;
    place.append(dear);
    return () => shelf.append(dear);
  }, []);
  return <div ref={ref} />;
}

export function SettledPromise() {
  const [value, setValue] = useState('');
  useEffect(() => {
    pending.count++;
    void new Promise<string>((resolve) => setTimeout(resolve, 200, 'late')).then((text) => {
      setValue(text);
      pending.count--;
    });
  }, []);
  return <p>{value}</p>;
}

const Late = lazy(async () => {
  await new Promise((resolve) => setTimeout(resolve, 30));
  return { default: () => <i>late</i> };
});

export function Suspended() {
  return (
    <Suspense fallback={<i>soon</i>}>
      <Late />
    </Suspense>
  );
}

export function EndedPortal() {
  const [container, setContainer] = useState<HTMLElement>();
  useEffect(() => {
    const made = document.body.appendChild(document.createElement('section'));
    queueMicrotask(() => setContainer(made));
    return () => made.remove();
  }, []);
  return <div>{container && createPortal(<b>dialog</b>, container)}</div>;
}

export function Unsubscribed() {
  const [value, setValue] = useState(0);
  useEffect(() => store.subscribe(setValue), []);
  return <p>{value}</p>;
}

export function TrackedAndGone() {
  const [rows] = useState(() => ({ rows: [1, 2, 3] }));
  useLeakTracking(rows, 'TrackedAndGone');
  return <p>{rows.rows.length}</p>;
}
