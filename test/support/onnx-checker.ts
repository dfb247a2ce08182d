import { execFileSync, spawnSync } from 'node:child_process';
import { gate } from './requirement.ts';

const python = process.env.CONVOLITH_PYTHON ?? '/usr/bin/python3';

/** The last operator set that the checker knows; undefined where there is none. */
export const checkedOpset = lastOpset();

function lastOpset(): number | undefined {
  try {
    const program = 'import onnx; print(onnx.defs.onnx_opset_version())';
    return Number(
      execFileSync(python, ['-c', program], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    );
  } catch {
    return undefined;
  }
}

/** For tests that need the checker of the Python package onnx. */
export const withChecker = gate(
  checkedOpset === undefined ? `no onnx for ${python}; run npm run setup:onnx` : undefined,
  'CONVOLITH_REQUIRE_ONNX',
);

/** What `onnx.checker.check_model`, with inference of shapes, says against a model; empty where that is nothing. */
export function checkModel(path: string): string {
  const program = 'import onnx, sys; onnx.checker.check_model(sys.argv[1], full_check=True)';
  const { status, stderr } = spawnSync(python, ['-c', program, path], { encoding: 'utf8' });
  return status === 0 ? '' : (stderr.trim().split('\n').at(-1) ?? 'it failed');
}
