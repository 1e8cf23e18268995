import { StrictMode, useEffect, useState, version, type ComponentType } from 'react';
import { createRoot } from 'react-dom/client';
import { createMemoryMonitor } from '@memwarden/client';
import { MemoryMonitorProvider, usePerformanceTracking } from '@memwarden/react';
import { keepHolders, watchLeaks, type LeakReport, type Released } from '@memwarden/react/leaks';
import * as clean from './clean';
import * as leaking from './leaking';
import { pending } from './store';

declare global {
  interface Window {
    matrix: {
      version: string;
      leaking: string[];
      clean: string[];
      /** Shows all the components, and takes them away again. */
      cycle(): Promise<void>;
      /** Lets the page commit and the probes look; between two calls the test forces a collection. */
      settle(): Promise<void>;
      leaks(): readonly LeakReport[];
      released(): readonly Released[];
      live(): number;
    };
  }
}

const all: [string, ComponentType][] = Object.entries({ ...leaking, ...clean });
const { strict, holders } = window.options;
const monitor = createMemoryMonitor();
const watch = watchLeaks(monitor, { minAgeMs: 0, ...(holders && { holders: keepHolders() }) });

let show: (shown: boolean) => void;
let count: (n: number) => void;

function Slot({ kind: Kind }: { kind: ComponentType }) {
  usePerformanceTracking('Slot');
  return <Kind />;
}

function Page() {
  const [shown, setShown] = useState(false);
  const [n, setN] = useState(0);
  useEffect(() => {
    show = setShown;
    count = setN;
  }, []);
  return (
    <div>
      {n % 2 ? <em key={n}>{n}</em> : <strong key={n}>{n}</strong>}
      {all.map(([name, Kind]) => (
        <section key={name}>{shown && <Slot kind={Kind} />}</section>
      ))}
    </div>
  );
}

const page = (
  <MemoryMonitorProvider monitor={monitor}>
    <Page />
  </MemoryMonitorProvider>
);
createRoot(document.getElementById('root')!).render(strict ? <StrictMode>{page}</StrictMode> : page);

const until = async (isSo: () => boolean) => {
  while (!isSo()) await frame();
};
const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
let n = 0;

window.matrix = {
  version,
  leaking: Object.keys(leaking),
  clean: Object.keys(clean),
  async cycle() {
    show(true);
    // The two dialogs and what is loaded late are the last to be there.
    await until(() => document.querySelectorAll('b').length === 2 && document.body.innerText.includes('late'));
    await frame();
    show(false);
    await until(() => !document.querySelector('p'));
    await frame();
    watch.sweep();
  },
  async settle() {
    await until(() => pending.count === 0);
    for (let i = 0; i < 3; i++) {
      count(++n);
      await frame();
    }
    watch.sweep();
  },
  leaks: () => watch.leaks(),
  released: () => watch.released(),
  live: () => monitor.takeSnapshot('').stats.components.Slot?.live ?? 0,
};
