import { StrictMode, useEffect, useState, version, type ComponentType, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { createMemoryMonitor } from '@memwarden/client';
import { MemoryMonitorProvider } from '@memwarden/react';
import { watchLeaks } from '@memwarden/react/leaks';
import * as clean from '../../leaks/src/clean';
import * as leaking from '../../leaks/src/leaking';

const kept: unknown[] = [];

/** Keeps much, and nothing of React's: only the heap tells. */
function Filler() {
  useEffect(() => void kept.push(new Float64Array(25_000)), []);
  return <p>full</p>;
}

/** What is written to the console stays there for who looks at it. */
function Logger() {
  return <p ref={(element) => void (element && console.log('shown', element))}>written</p>;
}

const all: Record<string, ComponentType> = { ...leaking, ...clean, Filler, Logger };
const { strict, watched, kinds = [...Object.keys(leaking), ...Object.keys(clean)] } = window.options;

declare global {
  interface Window {
    /** What the page can show. */
    kit: { version: string; leaking: string[]; clean: string[] };
  }
}
window.kit = { version, leaking: Object.keys(leaking), clean: Object.keys(clean) };

/** What is behind an address, as a router would have it. */
function useAddress(): [string, (to: string) => void] {
  const [address, setAddress] = useState(location.hash);
  useEffect(() => {
    const update = () => setAddress(location.hash);
    addEventListener('popstate', update);
    return () => removeEventListener('popstate', update);
  }, []);
  return [
    address,
    (to) => {
      history.pushState(null, '', to || location.pathname + location.search);
      setAddress(to);
    },
  ];
}

function View({ children }: { children: ReactNode }) {
  return children;
}

function App() {
  const [address, go] = useAddress();
  const open = address === '#open';
  return (
    <main>
      <button onClick={() => go(open ? '' : '#open')}>{open ? 'close' : 'open'}</button>
      <a href={location.href.replace(/#.*/, '') + '&again'}>elsewhere</a>
      {kinds.map((name) => {
        const Kind = all[name]!;
        return (
          <section key={name}>
            {open && (
              <View>
                <Kind />
              </View>
            )}
          </section>
        );
      })}
    </main>
  );
}

/** The page's own watch, which samples no page: what the page tracks is told to the test's all the same. */
function Watched({ children }: { children: ReactNode }) {
  const [monitor] = useState(() => {
    const made = createMemoryMonitor({ sampleRate: 0 });
    watchLeaks(made);
    return made;
  });
  return <MemoryMonitorProvider monitor={monitor}>{children}</MemoryMonitorProvider>;
}

const app = watched ? (
  <Watched>
    <App />
  </Watched>
) : (
  <App />
);
createRoot(document.getElementById('root')!).render(strict ? <StrictMode>{app}</StrictMode> : app);
