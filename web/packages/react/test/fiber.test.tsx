import { act, Component, forwardRef, lazy, memo, Suspense, type ReactNode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fiberOf, isOut, nameOf, ownersOf, type Fiber } from '../src/leaks/fiber';

let container: HTMLElement;
let root: Root;

beforeEach(() => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
  container = document.createElement('div');
  root = createRoot(container);
});

afterEach(() => act(() => root.unmount()));

const show = (node: ReactNode) => act(async () => root.render(node));
/** The component that made an element itself, and not one above. */
const makerOf = (selector: string): Fiber => {
  let fiber = fiberOf(container.querySelector(selector)!)!.return!;
  while (!nameOf(fiber.type)) fiber = fiber.return!;
  return fiber;
};

const Plain = () => <i />;
class Classic extends Component {
  override render() {
    return <b />;
  }
}
const Named = forwardRef<HTMLElement>((_, ref) => <em ref={ref} />);
Named.displayName = 'Named';
const Remembered = memo(function Remembered() {
  return <u />;
});
const Late = lazy(async () => ({ default: function Late() { return <s />; } })); // prettier-ignore

test('an element leads to its fiber, and what React did not make to none', async () => {
  await show(<p id="ours" />);
  expect(fiberOf(container.querySelector('p')!)).toMatchObject({ type: 'p' });
  expect(fiberOf(document.createElement('p'))).toBeUndefined();
  expect(fiberOf(document.createTextNode('text'))).toBeUndefined();
});

test('components of every sort have a name, and elements none', async () => {
  await show(
    <Suspense>
      <Plain />
      <Classic />
      <Named />
      <Remembered />
      <Late />
    </Suspense>,
  );
  expect(['i', 'b', 'em', 'u', 's'].map((tag) => nameOf(makerOf(tag).type))).toEqual(['Plain', 'Classic', 'Named', 'Remembered', 'Late']);
  expect(nameOf('p')).toBeUndefined();
  expect(nameOf(null)).toBeUndefined();
  expect(nameOf((() => () => null)())).toBe('anonymous');
  expect(nameOf(Object.assign(() => null, { displayName: 'Told' }))).toBe('Told');
});

test('the components above are told, the nearest first, and not more than asked for', async () => {
  const Inner = () => <i />;
  const Outer = ({ children }: { children: ReactNode }) => <div>{children}</div>;
  const Page = () => (
    <Outer>
      <section>
        <Inner />
      </section>
    </Outer>
  );
  await show(<Page />);
  expect(ownersOf(makerOf('i'), 6)).toEqual(['Outer', 'Page']);
  expect(ownersOf(makerOf('i'), 1)).toEqual(['Outer']);
});

test('a fiber is cut off once it is removed, and not before', async () => {
  const Row = ({ n }: { n: number }) => <i>{n}</i>;
  const page = (shown: boolean, n: number) => <div>{shown && <Row n={n} />}</div>;
  await show(page(true, 1));
  const row = makerOf('i');
  await show(page(true, 2));
  await show(page(true, 3));
  expect(isOut(row)).toBe(false);
  await show(page(false, 3));
  expect(isOut(row)).toBe(true);
});
