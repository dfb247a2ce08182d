/** `demo.html`: loads the bundle that it lies in, and shows what it does. */
import type { ProgramManifest } from '#runtime/abi.ts';
import { DEMO_SCRIPT } from './demo-script.ts';
import { DEMO_STYLE } from './demo-style.ts';

/** Of the network only its name is in the page's text; the rest the page asks the loaded model. */
export const demoPage = ({ name }: ProgramManifest): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(name)}</title>
<link rel="icon" href="data:,">
<style>
${DEMO_STYLE}</style>
</head>
<body>
<main>
<header>
<h1>${escapeHtml(name)}</h1>
<p id="facts">Loading…</p>
</header>
<p id="problem" role="alert" hidden></p>
<div id="panels" hidden>
<section>
<h2>Input</h2>
<div id="inputs"></div>
<div class="row">
<button id="run" class="primary">Run</button>
<button id="random">Random input</button>
<button id="bench">Run 20 times</button>
</div>
</section>
<section>
<h2>Output <span id="time"></span></h2>
<div id="outputs"></div>
</section>
</div>
</main>
<script type="module">
${DEMO_SCRIPT}</script>
</body>
</html>
`;

export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
