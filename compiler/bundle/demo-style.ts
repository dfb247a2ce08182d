/** The style of `demo.html`. */
export const DEMO_STYLE = `:root {
  color-scheme: light dark;
  --ink: light-dark(#1a1d21, #e8eaed); --soft: light-dark(#5c6470, #9aa3ae); --line: light-dark(#dfe3e8, #343a42);
  --page: light-dark(#f5f6f8, #14171a); --card: light-dark(#fff, #1d2126); --accent: light-dark(#2457d6, #7aa2ff);
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { margin: 0; font-size: 1.6rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { margin: 0 0 .75rem; font-size: 1rem; display: flex; justify-content: space-between; }
h3 { margin: 0 0 .5rem; font: 600 .85rem ui-monospace, monospace; overflow-wrap: anywhere; }
h3 small, #time, #facts, .note { color: var(--soft); font-weight: 400; font-variant-numeric: tabular-nums; }
#facts { margin: .25rem 0 1.5rem; }
#problem { padding: .75rem 1rem; border-left: 4px solid #d33; background: var(--card); white-space: pre-wrap; }
#panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1rem; align-items: start; }
#panels[hidden] { display: none; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.1rem; min-width: 0; }
.row { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin-top: .75rem; }
button, select, .file { font: inherit; padding: .4rem .9rem; border: 1px solid var(--line); border-radius: 7px;
  background: transparent; color: inherit; cursor: pointer; }
.file input { position: absolute; width: 1px; opacity: 0; }
.file:focus-within, button:focus-visible, select:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
button.primary { background: var(--accent); border-color: var(--accent); color: light-dark(#fff, #10131a); font-weight: 600; }
canvas { display: block; width: 100%; max-width: 22rem; image-rendering: pixelated; border-radius: 7px;
  border: 1px solid var(--line); background: #000; }
canvas.pad { cursor: crosshair; touch-action: none; }
.tensor + .tensor { margin-top: 1.25rem; }
.bar { display: grid; grid-template-columns: 4.5rem 1fr 5.5rem; gap: .6rem; align-items: center;
  font: .85rem ui-monospace, monospace; font-variant-numeric: tabular-nums; padding: .15rem 0; }
.bar span:last-child { text-align: right; }
.bar div { height: .7rem; border-radius: 4px; background: var(--line); overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--accent); border-radius: 4px; }
`;
