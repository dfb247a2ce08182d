/**
 * Makes sure that there is a Chromium for the browser tests: $CONVOLITH_CHROMIUM, else /usr/bin/chromium, else Debian's
 * package where that can be installed; and Vulkan for the tests of WebGPU in Node and in Deno: a loader, the software adapter
 * that comes with Chromium, and that of Mesa, which has half precision. Where they cannot be installed, those tests are
 * skipped; with CONVOLITH_REQUIRE_BROWSER=1 that is an error.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const executable = process.env.CONVOLITH_CHROMIUM ?? '/usr/bin/chromium';
const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };

/** A package of Debian, and where a file of it is on one machine or another. */
const packages = [
  ['chromium', [executable]],
  ['libvulkan1', ['x86_64', 'aarch64'].map((machine) => `/usr/lib/${machine}-linux-gnu/libvulkan.so.1`)],
  [
    'mesa-vulkan-drivers',
    ['x86_64', 'aarch64'].map((machine) => `/usr/share/vulkan/icd.d/lvp_icd.${machine}.json`),
  ],
];
const missing = packages.filter(([, paths]) => !paths.some((path) => existsSync(path))).map(([name]) => name);

if (missing.length === 0) {
  console.log(`setup:browser: ${executable} and Vulkan are there`);
} else if (missing.includes('chromium') && process.env.CONVOLITH_CHROMIUM !== undefined) {
  giveUp(`CONVOLITH_CHROMIUM names ${executable}, which does not exist`);
} else if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
  giveUp(`${missing.join(', ')} can be installed here only by root on Debian or Ubuntu`);
} else {
  try {
    apt('update');
    apt('install', '--yes', '--no-install-recommends', ...missing);
  } catch (error) {
    giveUp(`apt-get failed: ${error.message}`);
  }
  if (!existsSync(executable)) giveUp(`apt-get installed no ${executable}`);
  else console.log(`setup:browser: installed ${missing.join(', ')}`);
}

function apt(...args) {
  execFileSync('apt-get', args, { stdio: ['ignore', 'inherit', 'inherit'], env: environment });
}

function giveUp(reason) {
  console.warn(`setup:browser: ${reason}.`);
  console.warn(
    'Install Chromium or Chrome, and set CONVOLITH_CHROMIUM to its path; and Vulkan. Their tests are skipped until then.',
  );
  if (process.env.CONVOLITH_REQUIRE_BROWSER === '1') process.exit(1);
}
