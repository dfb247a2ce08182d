/** Activations: one entry each. Formulas are those of the ONNX operator specifications; all are of f32. */
import { attr } from '../attrs.ts';
import { arg, binary, type Expr, select, unary } from '../expr.ts';
import { elementwise, unaryOp, x } from './elementwise.ts';

/** min(max(e, low), high); an infinite bound is left out. */
function clamp(e: Expr, low: number, high: number): Expr {
  const above = low === Number.NEGATIVE_INFINITY ? e : binary('max', e, low);
  return high === Number.POSITIVE_INFINITY ? above : binary('min', above, high);
}

const sigmoid = (e: Expr): Expr => binary('div', 1, binary('add', 1, unary('exp', unary('neg', e))));
const hardSigmoid = (e: Expr, alpha: number, beta: number): Expr =>
  clamp(binary('add', binary('mul', e, alpha), beta), 0, 1);

/** alpha·(exp(e) − 1). */
const expMinusOne = (e: Expr, alpha: number): Expr => binary('mul', binary('sub', unary('exp', e), 1), alpha);

/** log(1 + exp x) as max(x, 0) + log(1 + exp(−|x|)), which does not overflow. */
const softplus: Expr = binary(
  'add',
  binary('max', x, 0),
  unary('log', binary('add', unary('exp', unary('neg', unary('abs', x))), 1)),
);

/** x·(1 + f)/2. */
const gated = (f: Expr): Expr => binary('mul', binary('mul', x, 0.5), binary('add', f, 1));

/** √(2/π)·(x + 0.044715·x³), Hendrycks & Gimpel 2016. */
const geluCubic: Expr = binary(
  'mul',
  binary('add', x, binary('mul', binary('mul', binary('mul', x, x), x), 0.044715)),
  Math.sqrt(2 / Math.PI),
);

const ALPHA_1 = { alpha: attr.float(1) };

export const ACTIVATIONS = {
  Relu: unaryOp('Relu', {}, () => binary('max', x, 0), { of: 'number' }),
  LeakyRelu: unaryOp('LeakyRelu', { alpha: attr.float(0.01) }, (a) =>
    select(binary('lt', x, 0), binary('mul', x, a.alpha), x),
  ),
  /** x where x ≥ 0, else slope·x; the slopes broadcast to x. */
  PRelu: elementwise('PRelu', {}, () => select(binary('lt', x, 0), binary('mul', x, arg(1)), x), {
    of: 'number',
    inputs: [
      { name: 'x', role: 'data' },
      { name: 'slope', role: 'weight' },
    ],
  }),
  /** x where x ≥ 0, else α(eˣ − 1) (Clevert et al. 2015). */
  Elu: unaryOp('Elu', ALPHA_1, (a) => select(binary('lt', x, 0), expMinusOne(x, a.alpha), x)),
  /** γ·Elu(x, α) (Klambauer et al. 2017). */
  Selu: unaryOp(
    'Selu',
    { alpha: attr.float(1.6732631921768188), gamma: attr.float(1.0507010221481323) },
    (a) => binary('mul', select(binary('le', x, 0), expMinusOne(x, a.alpha), x), a.gamma),
  ),
  /** max(x, 0) + min(α(exp(x/α) − 1), 0) (Barron 2017). */
  Celu: unaryOp('Celu', ALPHA_1, (a) =>
    binary('add', binary('max', x, 0), binary('min', expMinusOne(binary('div', x, a.alpha), a.alpha), 0)),
  ),
  ThresholdedRelu: unaryOp('ThresholdedRelu', ALPHA_1, (a) => select(binary('gt', x, a.alpha), x, 0)),
  Clip: unaryOp(
    'Clip',
    { min: attr.float(Number.NEGATIVE_INFINITY), max: attr.float(Number.POSITIVE_INFINITY) },
    (a) => clamp(x, a.min, a.max),
    { of: 'number' },
  ),
  Sigmoid: unaryOp('Sigmoid', {}, () => sigmoid(x)),
  HardSigmoid: unaryOp('HardSigmoid', { alpha: attr.float(0.2), beta: attr.float(0.5) }, (a) =>
    hardSigmoid(x, a.alpha, a.beta),
  ),
  HardSwish: unaryOp('HardSwish', {}, () => binary('mul', x, hardSigmoid(x, 1 / 6, 0.5))),
  /** x·sigmoid(αx); SiLU for α = 1. */
  Swish: unaryOp('Swish', ALPHA_1, (a) =>
    binary('mul', x, sigmoid(a.alpha === 1 ? x : binary('mul', x, a.alpha))),
  ),
  Tanh: unaryOp('Tanh', {}, () => unary('tanh', x)),
  Softplus: unaryOp('Softplus', {}, () => softplus),
  Softsign: unaryOp('Softsign', {}, () => binary('div', x, binary('add', unary('abs', x), 1))),
  /** x·tanh(softplus(x)) (Misra 2019). */
  Mish: unaryOp('Mish', {}, () => binary('mul', x, unary('tanh', softplus))),
  /** x·Φ(x), exact by erf or approximated by tanh. */
  Gelu: unaryOp('Gelu', { approximate: attr.word('none', 'tanh') }, (a) =>
    gated(a.approximate === 'none' ? unary('erf', binary('mul', x, Math.SQRT1_2)) : unary('tanh', geluCubic)),
  ),
  /** x + bias below −lambda, x − bias above lambda, 0 between. */
  Shrink: unaryOp(
    'Shrink',
    { lambda: attr.float(0.5), bias: attr.float(0) },
    (a) =>
      select(
        binary('lt', x, -a.lambda),
        binary('add', x, a.bias),
        select(binary('gt', x, a.lambda), binary('sub', x, a.bias), 0),
      ),
    { of: 'number' },
  ),
} as const;
