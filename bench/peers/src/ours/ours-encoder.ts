// Our side of the work `encoder`: a program over weights in Q8_0, through the public API of tesserae.
import type { Engine, QuantizedMatrix, Tensor, TensorScope } from '../../../../dist/src/index.js';
import {
  type EncoderLayer,
  encoderInput,
  encoderLayers,
  type MatrixName,
  matrixNames,
  type NormName,
  type Projection,
  q8Blocks,
} from '../work/encoder-operands.js';
import type { EncoderWork } from '../work/work.js';

type ProgramBuilder = Parameters<Parameters<Engine['program']>[0]>[0];

interface PackedLayer {
  readonly matrices: Readonly<Record<MatrixName, { readonly w: QuantizedMatrix; readonly bias: Tensor }>>;
  readonly norms: Readonly<Record<NormName, { readonly weight: Tensor; readonly bias: Tensor }>>;
}

export interface EncoderContext {
  readonly engine: Engine;
  readonly scope: TensorScope;
  readonly own: <T extends Disposable>(entry: T) => T;
}

async function packLayer({ engine, scope, own }: EncoderContext, layer: EncoderLayer): Promise<PackedLayer> {
  const vector = (values: Float32Array) => scope.tensor([values.length], values);
  const pack = async (projection: Projection) => {
    const bytes = q8Blocks(projection);
    using blocks = engine.tensor([bytes.length], bytes);
    const w = await engine.packQuantized(blocks, { type: 'Q8_0', shape: [projection.outputs, projection.inputs] });
    return { w: own(w), bias: vector(projection.bias) };
  };
  const matrices: Partial<Record<MatrixName, Awaited<ReturnType<typeof pack>>>> = {};
  for (const name of matrixNames) matrices[name] = await pack(layer.matrices[name]);
  const norm = ({ weight, bias }: EncoderLayer['norms'][NormName]) => ({ weight: vector(weight), bias: vector(bias) });
  const { attentionNorm, outputNorm } = layer.norms;
  return {
    matrices: matrices as PackedLayer['matrices'],
    norms: { attentionNorm: norm(attentionNorm), outputNorm: norm(outputNorm) },
  };
}

/** Records the whole stack of layers as a program that writes `out` [batch, tokens, width]. */
export async function encoderProgram(context: EncoderContext, work: EncoderWork, out: Tensor<'f32'>) {
  const { engine, scope, own } = context;
  const { batch, tokens, width, heads } = work;
  const layers: PackedLayer[] = [];
  for (const layer of encoderLayers(work)) layers.push(await packLayer(context, layer));
  const input = scope.tensor([batch, tokens, width], encoderInput(work));
  const joined = scope.tensor([batch, tokens, width]);
  const split = (y: Tensor) => y.reshape([batch, tokens, heads, width / heads]).transpose(0, 2, 1, 3);
  const record = (p: ProgramBuilder, x: Tensor, { matrices, norms }: PackedLayer, to: Tensor | undefined): Tensor => {
    const project = (name: MatrixName, from: Tensor, options: { residual?: Tensor; activation?: 'gelu' } = {}) =>
      p.matmul(from, matrices[name].w, { transposeB: true, bias: matrices[name].bias, ...options });
    const [q, k, v] = [split(project('q', x)), split(project('k', x)), split(project('v', x))];
    p.attention(q, k, v, { out: split(joined) });
    const attended = p.layerNorm(project('o', joined, { residual: x }), norms.attentionNorm);
    const added = project('down', project('up', attended, { activation: 'gelu' }), { residual: attended });
    return p.layerNorm(added, { ...norms.outputNorm, ...(to && { out: to }) });
  };
  const program = own(
    engine.program((p) => {
      let x: Tensor = input;
      for (const [index, layer] of layers.entries())
        x = record(p, x, layer, index === layers.length - 1 ? out : undefined);
    }),
  );
  return { run: () => program.run() };
}
