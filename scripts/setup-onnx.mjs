/**
 * Makes sure that there is the Python package onnx, whose checker the long tests ask about exported models: that of
 * $CONVOLITH_PYTHON, else of /usr/bin/python3, else Debian's python3-onnx where that can be installed. Where it cannot,
 * those tests are skipped; with CONVOLITH_REQUIRE_ONNX=1 that is an error.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const python = process.env.CONVOLITH_PYTHON ?? '/usr/bin/python3';
const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };

if (hasOnnx()) {
  console.log(`setup:onnx: ${python} has it`);
} else if (process.env.CONVOLITH_PYTHON !== undefined) {
  giveUp(`CONVOLITH_PYTHON names ${python}, which has no onnx`);
} else if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
  giveUp('python3-onnx can be installed here only by root on Debian or Ubuntu');
} else {
  try {
    apt('update');
    apt('install', '--yes', '--no-install-recommends', 'python3-onnx');
  } catch (error) {
    giveUp(`apt-get failed: ${error.message}`);
  }
  if (!hasOnnx()) giveUp(`${python} has no onnx after apt-get installed python3-onnx`);
  else console.log('setup:onnx: installed python3-onnx');
}

function hasOnnx() {
  try {
    execFileSync(python, ['-c', 'import onnx'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function apt(...args) {
  execFileSync('apt-get', args, { stdio: ['ignore', 'inherit', 'inherit'], env: environment });
}

function giveUp(reason) {
  console.warn(`setup:onnx: ${reason}.`);
  console.warn(
    'Install onnx for Python, and set CONVOLITH_PYTHON to it. Tests of its checker are skipped until then.',
  );
  if (process.env.CONVOLITH_REQUIRE_ONNX === '1') process.exit(1);
}
