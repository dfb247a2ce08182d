/** The WebAssembly encoder: expressions, statements and modules, all typed by one table of instructions. */
export {
  type CountOptions,
  type EffectInstruction,
  FunctionBody,
  type Locals,
  type StoreInstruction,
} from './body.ts';
export type { Label } from './emitter.ts';
export { EncoderError } from './error.ts';
export {
  type Arguments,
  type CallArguments,
  call,
  type Ex,
  type Func,
  f32,
  f64,
  type Global,
  i32,
  i64,
  type LoadInstruction,
  type Local,
  load,
  type Operand,
  op,
  type Params,
  type Results,
  select,
  tee,
  type ValueInstruction,
  v128,
} from './expression.ts';
export type { MemArg } from './immediates.ts';
export type { InstructionName, ValueType } from './instructions.ts';
export {
  type FuncDefinition,
  type FuncSpec,
  type GlobalSpec,
  type MemorySpec,
  ModuleBuilder,
  type ModuleOptions,
  type ParamLocals,
} from './module.ts';
