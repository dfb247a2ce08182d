/**
 * Makes sure that there is a Chromium for the browser tests: $CONVOLITH_CHROMIUM, else /usr/bin/chromium, else Debian's
 * package where that can be installed. Where it cannot, the browser tests are skipped; with
 * CONVOLITH_REQUIRE_BROWSER=1 that is an error.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const executable = process.env.CONVOLITH_CHROMIUM ?? '/usr/bin/chromium';
const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };

/** Loads the software adapter that comes with Chromium, for the tests of WebGPU in Node. */
const vulkan = ['/usr/lib/x86_64-linux-gnu/libvulkan.so.1', '/usr/lib/aarch64-linux-gnu/libvulkan.so.1'];
const loader = vulkan.some((path) => existsSync(path));

if (existsSync(executable) && (loader || process.getuid?.() !== 0)) {
  console.log(`setup:browser: ${executable} is there`);
} else if (process.env.CONVOLITH_CHROMIUM !== undefined) {
  giveUp(`CONVOLITH_CHROMIUM names ${executable}, which does not exist`);
} else if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
  giveUp('Chromium can be installed here only by root on Debian or Ubuntu');
} else {
  try {
    apt('update');
    apt('install', '--yes', '--no-install-recommends', 'chromium', 'libvulkan1');
  } catch (error) {
    giveUp(`apt-get failed: ${error.message}`);
  }
  if (!existsSync(executable)) giveUp(`apt-get installed no ${executable}`);
  else console.log(`setup:browser: installed ${executable}`);
}

function apt(...args) {
  execFileSync('apt-get', args, { stdio: ['ignore', 'inherit', 'inherit'], env: environment });
}

function giveUp(reason) {
  console.warn(`setup:browser: ${reason}.`);
  console.warn(
    'Install Chromium or Chrome, and set CONVOLITH_CHROMIUM to its path. Browser tests are skipped until then.',
  );
  if (process.env.CONVOLITH_REQUIRE_BROWSER === '1') process.exit(1);
}
