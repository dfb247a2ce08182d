/** Networks built by hand, one channel wide where only positions matter, without the values of weights. */
import { Builder } from '#ir/builder.ts';
import type { Graph, Value } from '#ir/graph.ts';
import type { Constant } from '#ir/tensor.ts';
import type { Shape } from '#ir/types.ts';
import { samePadding } from '#ir/window.ts';

export const absent = (shape: Shape): Constant => ({
  type: { dtype: 'f32', shape },
  data: null,
  missing: 'not needed',
});

/** `same` as TensorFlow has it: the odd row of padding at the end. A number pads both sides. */
export type Padding = 'same' | 'valid' | number;

export class Network {
  readonly b = new Builder('network');
  readonly marks = new Map<string, Value>();
  x: Value;

  constructor(size: number, channels = 1, rank = 2) {
    this.x = this.b.input('image', [1, channels, ...new Array<number>(rank).fill(size)]);
  }

  get graph(): Graph {
    return this.b.graph;
  }

  pads(kernel: readonly number[], stride: number, padding: Padding, dilation = 1): number[] {
    const each = kernel.map((k, i) => {
      if (padding === 'valid') return [0, 0];
      if (typeof padding === 'number') return [padding, padding];
      const axis = { kernel: k, stride, dilation, padBegin: 0, padEnd: 0 };
      return samePadding(axis, this.x.type.shape[i + 2] ?? 1, true);
    });
    return [...each.map((p) => p[0] ?? 0), ...each.map((p) => p[1] ?? 0)];
  }

  conv(
    kernel: number | readonly [number, number],
    {
      stride = 1,
      padding = 'same' as Padding,
      dilation = 1,
      cout = 1,
      group = 1,
      bias = false,
      name = '',
    } = {},
  ): this {
    const rank = this.x.type.shape.length - 2;
    const sizes = typeof kernel === 'number' ? new Array<number>(rank).fill(kernel) : [...kernel];
    const cin = this.x.type.shape[1] ?? 1;
    this.x = this.b.conv(this.x, this.b.constant('w', absent([cout, cin / group, ...sizes])), {
      strides: sizes.map(() => stride),
      dilations: sizes.map(() => dilation),
      pads: this.pads(sizes, stride, padding, dilation),
      group,
      ...(bias ? { bias: this.b.constant('b', absent([cout])) } : {}),
      ...(name === '' ? {} : { name }),
    });
    return this;
  }

  pool(kernel: number, stride: number, padding: Padding = 'valid'): this {
    const sizes = this.x.type.shape.slice(2).map(() => kernel);
    this.x = this.b.op('MaxPool', [this.x], {
      kernel: sizes,
      strides: sizes.map(() => stride),
      dilations: sizes.map(() => 1),
      pads: this.pads(sizes, stride, padding),
    });
    return this;
  }

  /** Runs branches from the current value and joins their results. */
  branches(join: 'Add' | 'Concat', ...branches: ((n: this) => void)[]): this {
    const start = this.x;
    const ends = branches.map((branch) => {
      this.x = start;
      branch(this);
      return this.x;
    });
    this.x =
      join === 'Concat'
        ? this.b.op('Concat', ends, { axis: 1 })
        : ends.reduce((sum, end) => this.b.op('Add', [sum, end], {}));
    return this;
  }

  mark(name: string): this {
    this.marks.set(name, this.x);
    return this;
  }

  done(): Graph {
    this.b.output('out', this.x);
    return this.graph;
  }
}
