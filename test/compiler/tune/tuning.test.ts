import { describe, expect, test } from 'vitest';
import { parseJson } from '#compiler/tune/measured.ts';
import {
  formatTuning,
  layersOn,
  NO_TUNING,
  parseTuning,
  type TunedLayer,
  tuningFor,
  withLayers,
} from '#compiler/tune/tuning.ts';
import { CompileError, type Diagnostic } from '#ir/diagnostics.ts';

const here = { engine: 'V8 1', cpu: 'this' };
const there = { engine: 'V8 2', cpu: 'that' };
const layer = (name: string, choice: TunedLayer['choice'] = { way: 'direct', width: 8 }): TunedLayer => ({
  layer: name,
  choice,
  ms: 1,
  modelMs: 2,
});
const filtered = { way: 'winograd', outputs: 4, block: [2, 7] } as const;

function problemsOf(body: () => unknown): readonly Diagnostic[] {
  try {
    body();
  } catch (error) {
    if (error instanceof CompileError) return error.diagnostics;
    throw error;
  }
  return [];
}

test('a file has what was written to it', () => {
  const tuning = withLayers(NO_TUNING, here, [
    layer('a'),
    layer('b', filtered),
    layer('c', { way: 'model' }),
  ]);
  expect(parseTuning(JSON.parse(formatTuning(tuning)))).toEqual(tuning);
});

test('layers that are measured again replace those before; other machines keep theirs', () => {
  const first = withLayers(withLayers(NO_TUNING, there, [layer('a')]), here, [layer('a'), layer('b')]);
  const second = withLayers(first, here, [layer('b', filtered), layer('c')]);
  expect(layersOn(second, here)).toEqual([layer('a'), layer('b', filtered), layer('c')]);
  expect(layersOn(second, there)).toEqual([layer('a')]);
  expect(layersOn(second, { ...here, cpu: 'another' })).toEqual([]);
});

describe('of several machines', () => {
  const both = withLayers(withLayers(NO_TUNING, there, [layer('a')]), here, [layer('b')]);

  test('the given one counts', () => {
    expect(tuningFor(both, here).machines).toEqual([{ ...here, layers: [layer('b')] }]);
  });

  test('the only one stands for any other', () => {
    const only = withLayers(NO_TUNING, there, [layer('a')]);
    expect(tuningFor(only, here)).toEqual(only);
    expect(tuningFor(NO_TUNING, here)).toEqual(NO_TUNING);
  });

  test('none is guessed', () => {
    const [problem] = problemsOf(() => tuningFor(both, { engine: 'V8 3', cpu: 'this' }, 'tuning.json'));
    expect(problem).toMatchObject({ code: 'usage-invalid', subject: 'tuning.json' });
    expect(problem?.message).toContain(
      'times of 2 machines, and none of V8 3 on this: V8 2 on that; V8 1 on this',
    );
    expect(problem?.hint).toContain('--tune');
  });
});

describe('a file that is something else', () => {
  const machine = (layers: unknown) => ({ version: 1, machines: [{ ...here, layers }] });
  const one = (choice: unknown) => machine([{ layer: 'a', choice, ms: 1, modelMs: 1 }]);

  test.each<[value: unknown, path: string, message: string]>([
    [null, 'file', 'expected what compile --tune writes; got null'],
    [[], 'file', 'got []'],
    [{ version: 2, machines: [] }, 'file.version', 'expected 1; got 2'],
    [{ version: 1 }, 'file.machines', 'this is missing'],
    [{ version: 1, machines: [], more: 1 }, 'file.more', 'there is no such option'],
    [machine({}), 'file.machines[0].layers', 'expected a list of layers; got an object'],
    [one('fast'), 'file.machines[0].layers[0].choice', 'an object of which "way"'],
    [one({ way: 'guess' }), 'file.machines[0].layers[0].choice.way', 'got "guess"'],
    [
      one({ way: 'direct', width: 7 }),
      'file.machines[0].layers[0].choice.width',
      'one of 8, 16, 4, 24; got 7',
    ],
    [one({ way: 'direct', width: '8' }), 'file.machines[0].layers[0].choice.width', 'got "8"'],
    [one({ ...filtered, outputs: 6 }), 'file.machines[0].layers[0].choice.outputs', '2 or 4; got 6'],
    [
      one({ ...filtered, block: [0, 1] }),
      'file.machines[0].layers[0].choice.block[0]',
      'a number of tiles; got 0',
    ],
    [
      one({ ...filtered, block: [1e9, 1] }),
      'file.machines[0].layers[0].choice.block[0]',
      'a number of tiles',
    ],
    [
      one({ ...filtered, block: [1] }),
      'file.machines[0].layers[0].choice.block',
      'rows and columns of tiles',
    ],
    [machine([layer('a'), layer('a')]), 'file.machines[0]', '"a" is in it twice'],
    [
      {
        version: 1,
        machines: [
          { ...here, layers: [] },
          { ...here, layers: [] },
        ],
      },
      'file',
      'V8 1 on this is in it twice',
    ],
  ])('%j is refused by path', (value, path, message) => {
    const problems = problemsOf(() => parseTuning(value, 'file'));
    expect(problems.map(({ subject }) => subject)).toContain(path);
    const problem = problems.find(({ subject }) => subject === path);
    expect(problem?.message).toContain(message);
    expect(problem).toMatchObject({
      code: 'usage-invalid',
      hint: expect.stringContaining('compile --tune FILE'),
    });
  });

  test('names of the language are names of nothing', () => {
    const hostile = JSON.parse('{"version":1,"machines":[],"__proto__":{"machines":[1]}}') as unknown;
    expect(problemsOf(() => parseTuning(hostile, 'file'))).toHaveLength(1);
    expect(({} as { machines?: unknown }).machines).toBeUndefined();
  });

  test('what is not JSON is told so', () => {
    const [problem] = problemsOf(() => parseJson('{"version":', 'file', 'measure again'));
    expect(problem).toMatchObject({ code: 'usage-invalid', subject: 'file', hint: 'measure again' });
    expect(problem?.message).toContain('this is not JSON: ');
  });
});
