/** The parts of the command that need no process. */
import { describe, expect, test, vi } from 'vitest';
import { type Backend, referenceBackend, wasmBackend } from '#compiler/cli/backends.ts';
import { compareBackends, firstBeyond, renderComparison, tensorDifference } from '#compiler/cli/compare.ts';
import { number } from '#compiler/cli/describe.ts';
import { exitCodeOf, reportError } from '#compiler/cli/errors.ts';
import { assignment, dimensionOptions } from '#compiler/cli/options.ts';
import { similar } from '#compiler/cli/suggest.ts';
import { progressLine, Terminal, wantsColour } from '#compiler/cli/terminal.ts';
import { Builder } from '#ir/builder.ts';
import { CompileError, type DiagnosticKind, diagnostic, InternalError } from '#ir/diagnostics.ts';
import { f32, type Tensor } from '#ir/tensor.ts';

const signal = new AbortController().signal;

function chain() {
  const b = new Builder('chain');
  let x = b.input('x', [1, 2, 5, 5]);
  for (const name of ['a', 'b', 'c']) {
    const w = b.constant(`w_${name}`, f32([2, 2, 1, 1], [0.5, 1, -1, 0.25]));
    x = b.relu(b.conv(x, w, { name }));
  }
  b.output('y', x);
  return b.graph;
}

const inputs = new Map<string, Tensor>([
  [
    'x',
    f32(
      [1, 2, 5, 5],
      Float32Array.from({ length: 50 }, (_, i) => Math.sin(i)),
    ),
  ],
]);

/** A backend that gets one value wrong, and does not pass the error on. */
function faulty(backend: Backend, wrong: string, by: number): Backend {
  return {
    ...backend,
    run: (given, options) =>
      backend.run(given, {
        ...options,
        onValue: (computed) => {
          const { type, data } = computed.tensor;
          const off = f32(
            type.shape,
            Float32Array.from(data as Float32Array, (v, i) => (i === 7 ? v + by : v)),
          );
          options.onValue?.(computed.value === wrong ? { ...computed, tensor: off } : computed);
        },
      }),
  };
}

describe('comparison', () => {
  test('backends of one graph agree at every common value', async () => {
    const graph = chain();
    const found = await compareBackends(referenceBackend(graph), wasmBackend(graph), inputs, {
      signal,
      perLayer: true,
    });
    expect(found.values.map((v) => v.op)).toEqual(['Relu', 'Relu', 'Relu']);
    expect(found.outputs).toHaveLength(1);
    expect(firstBeyond(found)).toBeUndefined();
  });

  test('the first value that differs is found, and by how much', async () => {
    const graph = chain();
    const wrong = graph.nodes[3]?.outputs[0]?.name ?? '';
    const second = faulty(wasmBackend(graph), wrong, 0.5);
    const found = await compareBackends(referenceBackend(graph), second, inputs, { signal, perLayer: true });
    const first = firstBeyond(found);
    expect(first?.value).toBe(wrong);
    expect(first?.difference).toBeCloseTo(0.5, 5);
    const table = renderComparison(found, ['reference', 'wasm'], new Terminal());
    expect(table.split('\n').filter((line) => line.includes('✗'))).toHaveLength(1);
  });

  test('without --per-layer only outputs are kept', async () => {
    const graph = chain();
    const found = await compareBackends(referenceBackend(graph), wasmBackend(graph), inputs, {
      signal,
      perLayer: false,
    });
    expect(found.values).toEqual([]);
    expect(found.outputs.map((o) => o.value)).toEqual(['y']);
  });

  test.each([
    [[1, 2], [1, 2.5], 0.25],
    [[Number.NaN, 1], [Number.NaN, 1], 0],
    [[Number.NaN, 1], [0, 1], Number.POSITIVE_INFINITY],
    [[Number.POSITIVE_INFINITY, 1], [Number.POSITIVE_INFINITY, 1], 0],
    [[0, 0], [0, 1e-3], 1e-3],
  ])('%j against %j: %f', (want, got, relative) => {
    expect(tensorDifference(f32([2], want), f32([2], got)).relative).toBeCloseTo(relative, 6);
  });
});

describe('options', () => {
  test('dimensions and shapes', () => {
    expect(dimensionOptions({ dim: ['a.b=4', 'c=2'], shape: ['x=1x3x8x8', 'y=1,2'] })).toEqual({
      dims: { 'a.b': 4, c: 2 },
      shapes: { x: [1, 3, 8, 8], y: [1, 2] },
    });
  });

  test('a size that is given twice is for compile only', () => {
    expect(() => dimensionOptions({ shape: ['x=1', 'x=2'] })).toThrow('this is given twice');
  });

  test('a name may hold an equals sign', () => {
    expect(assignment('a=b=3', '--dim', '')).toEqual(['a=b', '3']);
  });
});

describe('text', () => {
  test('suggestions', () => {
    const codes = ['onnx-truncated', 'onnx-malformed', 'tensor-size'];
    expect(similar('onnx-trunctaed', codes)).toEqual(['onnx-truncated']);
    expect(similar('truncated', codes)).toEqual(['onnx-truncated']);
    expect(similar('banana', codes)).toEqual([]);
  });

  test('numbers', () => {
    expect([0, 12, 0.123456, 1234.5678, 1.5e-7, 3e9, -2].map(number)).toEqual([
      '0',
      '12',
      '0.1235',
      '1235',
      '1.5e-7',
      '3.0e9',
      '-2',
    ]);
  });

  test('progress', () => {
    expect(progressLine('reference', 1, 2, 3000)).toBe(
      'reference  ━━━━━━━━━━━━────────────  50 %  about 3 s left',
    );
    expect(progressLine('check', 0, 0, 10)).toContain('0 %');
  });

  test.each([
    [{}, true, true],
    [{}, false, false],
    [{ NO_COLOR: '1' }, true, false],
    [{ FORCE_COLOR: '1' }, false, true],
    [{ FORCE_COLOR: '0' }, true, false],
    [{ NO_COLOR: '1', FORCE_COLOR: '1' }, true, false],
    [{ TERM: 'dumb' }, true, false],
    [{ CI: 'true' }, false, false],
  ])('colours with %j, terminal %s: %s', (env, isTTY, expected) => {
    expect(wantsColour({ isTTY }, env)).toBe(expected);
  });
});

describe('errors', () => {
  function report(error: unknown): { code: number; text: string } {
    let text = '';
    const write = vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
      text += chunk;
      return true;
    });
    const code = reportError(error, new Terminal());
    write.mockRestore();
    return { code, text };
  }

  test('a bug asks for a report, and shows its stack only where debugging', () => {
    const { code, text } = report(new InternalError('pass "x" broke the graph'));
    expect(code).toBe(70);
    expect(text).toContain('internal error: pass "x" broke the graph');
    expect(text).toContain('please report it');
    expect(text).not.toMatch(/^ {4}at /m);
    vi.stubEnv('CONVOLITH_DEBUG', '1');
    expect(report(new TypeError('undefined is not a function')).text).toMatch(/^ {4}at /m);
    vi.unstubAllEnvs();
  });

  test('an interruption is none', () => {
    expect(report(AbortSignal.abort().reason)).toEqual({ code: 130, text: 'interrupted\n' });
  });

  test('of many, twenty are printed', () => {
    const many = Array.from({ length: 50 }, (_, i) => diagnostic('op-unknown', `n${i}`, 'not known'));
    const { code, text } = report(new CompileError(many));
    expect(code).toBe(4);
    expect(text.match(/op-unknown/g)).toHaveLength(20);
    expect(text).toContain('… and 30 more');
  });

  test('a system error is about a file', () => {
    const error = Object.assign(new Error("EACCES: permission denied, open 'a.onnx'"), {
      syscall: 'open',
      path: 'a.onnx',
    });
    expect(report(error)).toEqual({
      code: 2,
      text: expect.stringContaining('error[file-unreadable] a.onnx: permission denied'),
    });
  });
});

describe('exit codes', () => {
  const of = (
    ...codes: readonly (
      | 'onnx-truncated'
      | 'dimension-missing'
      | 'input-invalid'
      | 'comparison-failed'
      | 'self-check-failed'
    )[]
  ) => exitCodeOf(codes.map((code) => diagnostic(code, '', '')));
  test('by kind; the model’s own fault first', () => {
    expect(of('comparison-failed')).toBe(1);
    expect(of('input-invalid')).toBe(2);
    expect(of('onnx-truncated', 'dimension-missing')).toBe(3);
    expect(of('dimension-missing')).toBe(4);
    expect(of('self-check-failed')).toBe(70);
  });

  test('every kind of error has one', () => {
    const kinds: DiagnosticKind[] = ['failed', 'usage', 'invalid', 'unsupported', 'bug'];
    const codes = kinds.map((kind) => exitCodeOf([{ ...diagnostic('graph-invalid', '', ''), kind }]));
    expect(codes).toEqual([1, 2, 3, 4, 70]);
  });
});
