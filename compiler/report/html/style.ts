/** How the page looks: light and dark, narrow and printed. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --paper: #ffffff; --band: #f3f5f7; --link: #0550ae;
  --k0: #1f6feb; --k1: #bf5700; --k2: #1a7f37; --k3: #8250df; --k4: #b3175e; --k5: #57606a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9aa5b1; --line: #30363d; --paper: #0d1117; --band: #161b22; --link: #79b8ff;
    --k0: #58a6ff; --k1: #f0883e; --k2: #56d364; --k3: #bc8cff; --k4: #ff7bac; --k5: #9aa5b1; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.25rem 4rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1rem; margin: 0 0 .25rem; }
p { margin: .4rem 0; max-width: 60rem; overflow-wrap: anywhere; }
a { color: var(--link); }
code { font-family: ui-monospace, monospace; font-size: .92em; }
.soft { color: var(--soft); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: 1rem 1.5rem; margin: 1.5rem 0; }
.facts dt { color: var(--soft); font-size: .87rem; }
.facts dd { margin: 0; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
.facts dd small { display: block; font-size: .82rem; color: var(--soft); overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 2rem 1.5rem; }
figure { margin: 0; break-inside: avoid; min-width: 0; }
figcaption { color: var(--soft); font-size: .87rem; }
.scroll { overflow-x: auto; }
@media (min-width: 70rem) {
  /* a title sticks to what scrolls, which is the page then; no table is wider */
  .scroll:has(> #layers) { overflow-x: clip; }
  #layers td.text { white-space: normal; overflow-wrap: anywhere; }
}
.scroll:focus-visible, a:focus-visible, button:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
svg { display: block; width: 100%; min-width: 26rem; height: auto; font: 11px system-ui, sans-serif; }
svg text { fill: var(--soft); }
svg .mark { fill: var(--ink); }
.grid { stroke: var(--line); stroke-width: 1; }
.base { stroke: var(--soft); stroke-width: 1; fill: none; }
svg .span { stroke: var(--k0); stroke-width: 1.6; opacity: 0.35; }
.limit { stroke: var(--k1); stroke-width: 1.2; stroke-dasharray: 5 3; }
.area { fill: var(--k0); fill-opacity: .25; stroke: var(--k0); stroke-width: 1.2; }
.catch { fill: transparent; }
.catch:hover { fill: var(--ink); fill-opacity: .12; }
svg .k0 { fill: var(--k0); } svg .k1 { fill: var(--k1); } svg .k2 { fill: var(--k2); }
svg .k3 { fill: var(--k3); } svg .k4 { fill: var(--k4); } svg .k5 { fill: var(--k5); }
i.k0 { background: var(--k0); } i.k1 { background: var(--k1); } i.k2 { background: var(--k2); }
i.k3 { background: var(--k3); } i.k4 { background: var(--k4); } i.k5 { background: var(--k5); }
i[class^=k] { display: inline-block; width: .7em; height: .7em; margin-right: .3em; }
i.round { border-radius: 50%; }
i.tri { clip-path: polygon(50% 0, 100% 100%, 0 100%); }
.key { white-space: nowrap; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th.text, td.text { text-align: left; }
td.name { white-space: normal; overflow-wrap: anywhere; min-width: 11rem; }
thead td { background: var(--band); }
thead th { background: var(--band); position: sticky; top: 0; font-weight: 600; }
thead button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; white-space: nowrap; }
thead button::after { content: ' \\2195'; color: var(--soft); }
th[aria-sort=ascending] button::after { content: ' \\2191'; }
th[aria-sort=descending] button::after { content: ' \\2193'; }
tbody tr:target { background: var(--band); outline: 2px solid var(--link); outline-offset: -2px; }
.bar { display: inline-block; height: .7em; min-width: 1px; background: var(--k0); vertical-align: baseline; }
.findings { padding-left: 1.1rem; }
.findings li { margin: .5rem 0; max-width: 60rem; overflow-wrap: anywhere; }
.bad { color: var(--k4); font-weight: 600; }
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --line: #bbb; --paper: #fff; --band: #eee; --link: #000; }
  body { padding: 0; max-width: none; font-size: 10pt; }
  thead th { position: static; }
  thead button::after { content: ''; }
  .scroll { overflow: visible; }
  svg { min-width: 0; }
}
`;
