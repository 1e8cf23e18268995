/** Sizes are in em of the browser's own font size: the page's styles do not reach in here. */
export const styles = `
:host { all: initial !important; }

aside {
  --back: #ffffff; --raised: #f3f4f6; --line: #d5d9e0; --text: #1b2029; --soft: #55606f;
  --accent: #0b5cad; --alarm: #b3261e; --alarm-back: #fdecea;
  position: fixed; z-index: 2147483647; display: flex; gap: .5em; align-items: flex-end; flex-direction: column-reverse;
  inset: auto .75em .75em auto; max-width: calc(100vw - 1.5em);
  font: .8125em/1.45 system-ui, sans-serif; color: var(--text); color-scheme: light; font-variant-numeric: tabular-nums;
}
aside[data-position='bottom-left'] { inset: auto auto .75em .75em; align-items: flex-start; }
aside[data-position='top-right'] { inset: .75em .75em auto auto; flex-direction: column; }
aside[data-position='top-left'] { inset: .75em auto auto .75em; flex-direction: column; align-items: flex-start; }

* { box-sizing: border-box; margin: 0; }
[hidden] { display: none !important; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

button { font: inherit; color: inherit; cursor: pointer; border: 1px solid var(--line); background: var(--back); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }

.toggle {
  display: flex; align-items: center; gap: .5em; min-height: 2.15em; padding: .2em .9em; border-radius: 2em; font-weight: 600;
  box-shadow: 0 1px 2px #0002, 0 4px 12px #0002;
}
.toggle::before { content: ''; width: .6em; height: .6em; border-radius: 50%; background: #2e8540; }
.toggle.alarming::before { background: var(--alarm); }
.toggle:hover, .close:hover, summary:hover { background: var(--raised); }

.panel {
  width: min(28em, calc(100vw - 1.85em)); max-height: min(44em, calc(100vh - 5em)); overflow: auto; overscroll-behavior: contain;
  background: var(--back); border: 1px solid var(--line); border-radius: .75em; box-shadow: 0 2px 4px #0002, 0 12px 32px #0003;
}
header {
  position: sticky; top: 0; z-index: 1; display: flex; align-items: center; justify-content: space-between;
  padding: .6em .6em .6em 1em; background: var(--back); border-bottom: 1px solid var(--line); font-size: 1.08em;
}
.close { width: 1.9em; height: 1.9em; padding: 0; border-color: transparent; border-radius: .4em; font-size: 1.1em; line-height: 1; }

section, .body, footer { padding: .6em 1em .8em; }
details, footer { border-top: 1px solid var(--line); }
.body { padding-top: .1em; }
footer { background: var(--raised); }
summary { display: flex; align-items: center; gap: .5em; padding: .5em 1em; font-weight: 600; cursor: pointer; list-style: none; }
summary:focus-visible { outline-offset: -2px; }
summary::-webkit-details-marker { display: none; }
summary::before { content: ''; width: .4em; height: .4em; border: solid var(--soft); border-width: 0 .14em .14em 0; transform: rotate(-45deg); }
[open] > summary::before { transform: rotate(45deg); }
.badge { min-width: 1.7em; padding: 0 .5em; border-radius: 1em; text-align: center; background: var(--raised); color: var(--soft); font-size: .92em; }
.alarming .badge { background: var(--alarm-back); color: var(--alarm); }

.note { color: var(--soft); }
.heap strong { font-size: 1.9em; line-height: 1.2; margin-inline-end: .2em; }
svg { display: block; width: 100%; height: 2.6em; margin: .2em 0 .4em; overflow: visible; }
polyline { fill: none; stroke: var(--accent); stroke-width: 1.5; stroke-linejoin: round; vector-effect: non-scaling-stroke; }

table { width: 100%; border-collapse: collapse; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { padding: .2em 0 .2em .8em; text-align: end; font-weight: 400; white-space: nowrap; }
thead th { color: var(--soft); font-size: .92em; white-space: normal; vertical-align: bottom; }
th:first-child { padding-inline-start: 0; text-align: start; width: 100%; max-width: 0; overflow: hidden; text-overflow: ellipsis; }
tbody tr { border-top: 1px solid var(--raised); }

ul { margin: 0; padding: 0; list-style: none; }
.leaks > li { padding: .5em .75em; border-inline-start: 3px solid var(--alarm); background: var(--alarm-back); border-radius: .3em; }
.leaks > li + li { margin-top: .5em; }
.leaks b { overflow-wrap: anywhere; }
.owners { color: var(--soft); overflow-wrap: anywhere; }
.leaks ul { margin-top: .25em; font: .92em/1.4 ui-monospace, monospace; }
.leaks ul li { overflow-wrap: anywhere; padding-inline-start: 1.2em; text-indent: -1.2em; }
.leaks ul li::before { content: '› '; color: var(--alarm); }
.warnings li { padding: .15em 0; overflow-wrap: anywhere; }
time { color: var(--soft); margin-inline-end: .4em; }

@media (prefers-color-scheme: dark) {
  aside {
    --back: #171a21; --raised: #242933; --line: #3a414e; --text: #e6e9ef; --soft: #a6b0bf;
    --accent: #6cb2f7; --alarm: #ff8f85; --alarm-back: #3a1d1d; color-scheme: dark;
  }
  .toggle::before { background: #57c26b; }
}
@media (prefers-reduced-motion: no-preference) {
  .panel { animation: rise .14s ease-out; }
  summary::before { transition: transform .12s; }
  @keyframes rise { from { opacity: 0; transform: translateY(.5em); } }
}
@media print { aside { display: none; } }
`;
