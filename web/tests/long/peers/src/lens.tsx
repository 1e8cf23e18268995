import { version, type ComponentType } from 'react';
import { createReactMemoryScan, type ScanResult } from '@memlab/lens/dist/memlens.lib.bundle.js';
import { nameOf } from '../../../../packages/react/src/leaks/fiber';
import { names, openStage } from '../../../leaks/src/stage';

declare global {
  interface Window {
    lens: {
      version: string;
      leaking: string[];
      clean: string[];
      /** Shows all the components, and has MemLens scan the page. */
      show(): Promise<void>;
      /** Takes them away again. */
      hide(): Promise<void>;
      settle(): Promise<void>;
      /** What a scan tells: the components of each element and fiber that it takes for leaked. */
      scan(): { components: string[]; detached: string[][]; fibers: string[]; listeners: string[] };
    };
  }
}

// As its documentation says, with its own book of listeners; it scans when the test says so, not each second.
const lens = createReactMemoryScan({ scanIntervalMs: 1 << 30, trackEventListenerLeaks: true });
lens.start();

function Slot({ kind: Kind }: { kind: ComponentType }) {
  return <Kind />;
}

const stage = openStage({ Slot });
const typeOf = (fiber: WeakRef<{ type: unknown }>) => nameOf(fiber.deref()?.type);

window.lens = {
  version,
  ...names,
  async show() {
    await stage.show();
    lens.scan();
  },
  hide: stage.hide,
  settle: stage.settle,
  scan() {
    const { components, leakedFibers, eventListenerLeaks }: ScanResult = lens.scan();
    return {
      components: [...components],
      detached: lens.getDetachedDOMInfo().map(({ componentStack }) => componentStack ?? []),
      fibers: leakedFibers.map(typeOf).filter((name) => name !== undefined),
      listeners: (eventListenerLeaks ?? []).map(({ componentName }) => componentName),
    };
  },
};
