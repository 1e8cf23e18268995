import { version, type ComponentType } from 'react';
import { createMemoryMonitor } from '@memwarden/client';
import { MemoryMonitorProvider, usePerformanceTracking } from '@memwarden/react';
import { keepHolders, watchLeaks, type LeakReport, type Released } from '@memwarden/react/leaks';
import { names, openStage } from './stage';

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
      /** Takes memory as a page in use does, and gives up what it took before: where it takes none, the browser may never collect. */
      work(): void;
      leaks(): readonly LeakReport[];
      released(): readonly Released[];
      live(): number;
    };
  }
}

const monitor = createMemoryMonitor();
const { defaults, holders } = window.options;
const watch = watchLeaks(monitor, { ...(!defaults && { minAgeMs: 0 }), ...(holders && { holders: keepHolders() }) });
const sweep = () => defaults || watch.sweep();

function Slot({ kind: Kind }: { kind: ComponentType }) {
  usePerformanceTracking('Slot');
  return <Kind />;
}

const stage = openStage({ Slot, around: (page) => <MemoryMonitorProvider monitor={monitor}>{page}</MemoryMonitorProvider> });

/** What the page works with. */
const data: object[][] = [];

window.matrix = {
  version,
  ...names,
  async cycle() {
    await stage.show();
    await stage.hide();
    sweep();
  },
  async settle() {
    await stage.settle();
    sweep();
  },
  work() {
    data.push(Array.from({ length: 20_000 }, (_, i) => ({ i })));
    data.splice(0, data.length - 20);
  },
  leaks: () => watch.leaks(),
  released: () => watch.released(),
  live: () => monitor.takeSnapshot('').stats.components.Slot?.live ?? 0,
};
