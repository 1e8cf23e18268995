import { StrictMode, useEffect, useState, type ComponentType, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';
import * as clean from './clean';
import * as leaking from './leaking';
import { pending } from './store';

export const names = { leaking: Object.keys(leaking), clean: Object.keys(clean) };

const { kinds } = window.options;
const all: [string, ComponentType][] = Object.entries({ ...leaking, ...clean }).filter(([name]) => kinds?.includes(name) ?? true);

/** How many dialogs there are, and whether something is loaded late: these are the last to be there. */
const dialogs = all.filter(([, Kind]) => Kind === leaking.Portal || Kind === clean.EndedPortal).length;
const late = all.some(([, Kind]) => Kind === clean.Suspended);

/** Where all the components of the matrix come and go, whoever watches. */
export interface Stage {
  show(): Promise<void>;
  hide(): Promise<void>;
  /** Lets the page commit a few times, once nothing of it is still under way. */
  settle(): Promise<void>;
}

export interface StageOptions {
  /** Holds one of the components. */
  readonly Slot: ComponentType<{ kind: ComponentType }>;
  /** What is around the page. */
  readonly around?: (page: ReactElement) => ReactElement;
}

const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
const until = async (isSo: () => boolean) => {
  while (!isSo()) await frame();
};

export function openStage({ Slot, around = (page) => page }: StageOptions): Stage {
  let setShown: (shown: boolean) => void;
  let setCount: (n: number) => void;
  let count = 0;

  function Page() {
    const [shown, show] = useState(false);
    const [n, setN] = useState(0);
    useEffect(() => {
      setShown = show;
      setCount = setN;
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

  const page = around(<Page />);
  createRoot(document.getElementById('root')!).render(window.options.strict ? <StrictMode>{page}</StrictMode> : page);

  return {
    async show() {
      setShown(true);
      await until(
        () =>
          document.querySelectorAll('#root section > *').length >= all.length &&
          document.querySelectorAll('b').length === dialogs &&
          document.body.innerText.includes('late') === late,
      );
      await frame();
    },
    async hide() {
      setShown(false);
      await until(() => !document.querySelector('#root section > *'));
      await frame();
    },
    async settle() {
      await until(() => pending.count === 0);
      for (let i = 0; i < 3; i++) {
        setCount(++count);
        await frame();
      }
    },
  };
}
