/* What is wrong in these components is what they are here for. */
import { Component, createContext, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { createPortal } from 'react-dom';
import { useLeakTracking } from '@memwarden/react/leaks';
import { kept, store } from './store';

export function WindowListener() {
  const [width, setWidth] = useState(0);
  useEffect(() => addEventListener('resize', () => setWidth(innerWidth)), []);
  return <p>{width}</p>;
}

export function Interval() {
  const [ticks, setTicks] = useState(0);
  useEffect(() => void setInterval(() => setTicks((n) => n + 1), 60_000), []);
  return <p>{ticks}</p>;
}

export function StoredCallback() {
  const [value, setValue] = useState(0);
  useEffect(() => void kept.push(() => setValue(1)), []);
  return <p>{value}</p>;
}

export function PendingPromise() {
  const [value, setValue] = useState('');
  useEffect(() => {
    new Promise<string>((resolve) => kept.push(resolve)).then(setValue);
  }, []);
  return <p>{value}</p>;
}

export function RefObject() {
  const ref = useRef({ rows: [1, 2, 3] });
  useLeakTracking(ref, 'RefObject');
  useEffect(() => void kept.push(ref), []);
  return <p />;
}

function PropsReader(props: { row: object }) {
  useLeakTracking(props.row, 'PropsInStore');
  useEffect(() => void kept.push(props.row), [props.row]);
  return <p />;
}

export function PropsInStore() {
  const row = useMemo(() => ({ id: 1 }), []);
  return <PropsReader row={row} />;
}

export function DomNode() {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => void kept.push(ref.current), []);
  return <div ref={ref}>kept</div>;
}

const Shared = createContext<{ set: (n: number) => void } | undefined>(undefined);

function ContextReader() {
  const value = useContext(Shared);
  useEffect(() => void kept.push(value), [value]);
  return <p />;
}

export function ContextValue() {
  const [value, set] = useState(0);
  const shared = useMemo(() => ({ value, set }), [value]);
  return (
    <Shared.Provider value={shared}>
      <ContextReader />
    </Shared.Provider>
  );
}

export function Subscription() {
  const [value, setValue] = useState(0);
  useEffect(() => void store.subscribe(setValue), []);
  return <p>{value}</p>;
}

export function Observer() {
  const [size, setSize] = useState(0);
  useEffect(() => new ResizeObserver(([entry]) => setSize(entry!.contentRect.width)).observe(document.body), []);
  return <p>{size > 0 ? 'wide' : ''}</p>;
}

export function Portal() {
  const [container, setContainer] = useState<HTMLElement>();
  useEffect(() => {
    const made = document.body.appendChild(document.createElement('section'));
    kept.push(made);
    queueMicrotask(() => setContainer(made));
    return () => made.remove();
  }, []);
  return <div>{container && createPortal(<b>dialog</b>, container)}</div>;
}

export function NeverAborted() {
  const [state, setState] = useState('asking');
  useEffect(() => {
    const controller = new AbortController();
    controller.signal.addEventListener('abort', () => setState('given up'));
    kept.push(controller);
  }, []);
  return <p>{state}</p>;
}

export function WorkerMessages() {
  const [answer, setAnswer] = useState('');
  useEffect(() => {
    const source = URL.createObjectURL(new Blob(['onmessage = () => postMessage("pong")'], { type: 'text/javascript' }));
    const worker = new Worker(source);
    worker.onmessage = ({ data }) => setAnswer(data);
    URL.revokeObjectURL(source);
  }, []);
  return <p>{answer}</p>;
}

export class ClassMethod extends Component<object, { online: boolean }> {
  override state = { online: true };
  override componentDidMount() {
    window.addEventListener('online', this.update);
  }
  update = () => this.setState({ online: true });
  override render(): ReactNode {
    return <p>{String(this.state.online)}</p>;
  }
}
