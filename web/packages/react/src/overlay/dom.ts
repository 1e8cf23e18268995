export type Child = Node | string;

/** Makes an element. */
export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A table whose first column names the row, and whose others are numbers. */
export function table(caption: string, columns: readonly string[], rows: readonly (readonly [string, ...Child[]])[]): HTMLTableElement {
  const head = columns.map((column) => el('th', { scope: 'col' }, column));
  const body = rows.map(([name, ...cells]) =>
    el('tr', {}, el('th', { scope: 'row', title: name }, name), ...cells.map((cell) => el('td', {}, cell))),
  );
  return el('table', {}, el('caption', {}, caption), el('thead', {}, el('tr', {}, ...head)), el('tbody', {}, ...body));
}

/** A line through values, from the oldest to the newest; undefined while there are fewer than two. */
export function sparkline(values: readonly number[], label: string): SVGElement | undefined {
  if (values.length < 2) return undefined;
  const low = Math.min(...values);
  const range = Math.max(...values) - low || 1;
  const points = values.map((value, i) => `${(i * 100) / (values.length - 1)},${(1 - (value - low) / range) * 20 + 2}`);
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  for (const [name, value] of Object.entries({ viewBox: '0 0 100 24', preserveAspectRatio: 'none', role: 'img', 'aria-label': label })) {
    svg.setAttribute(name, value);
  }
  const line = svg.appendChild(document.createElementNS(space, 'polyline'));
  line.setAttribute('points', points.join(' '));
  return svg;
}
