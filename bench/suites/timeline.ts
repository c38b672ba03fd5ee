// The profile of a transformer layer, whose tiles the HTML page draws worker by worker. The result of the measured runs
// is compared with that of one worker before the profile is given.
import { createHash } from 'node:crypto';
import type { Engine, Program, ProgramProfile, Tensor } from '../../src/index.js';
import type { BenchContext } from '../measuring/context.js';
import { fillUniform } from '../measuring/seeded-numbers.js';
import { WrongResultError } from '../measuring/wrong-result.js';

export interface Timeline {
  /** What the program computes, as text. */
  readonly what: string;
  readonly profile: ProgramProfile;
}

const tokens = 256;
const dim = 768;
const heads = 12;
const runs = 21;

/** Profiles the layer on the most workers of the context. */
export async function recordTimeline(context: BenchContext): Promise<Timeline> {
  const { widest, signal } = context;
  context.progress('the tiles of a transformer layer');
  using single = layerProgram(context.engine(1));
  await single.run({ signal });
  using program = layerProgram(widest);
  const profile = await widest.profile(program, { runs, signal });
  if (digest(program.tensors.y) !== digest(single.tensors.y)) throw new WrongResultError('the transformer layer');
  const what = `A transformer layer, ${tokens} tokens, ${dim} wide, ${heads} heads, causal`;
  return { what, profile };
}

function layerProgram(engine: Engine): Program<{ y: Tensor<'f32'> }> {
  let seed = 0;
  return engine.program((p) => {
    const filled = (shape: readonly number[], scale = 1) => {
      const tensor = p.input(shape);
      fillUniform(tensor.data, ++seed);
      for (let i = 0; scale !== 1 && i < tensor.size; i++) tensor.data[i] = (tensor.data[i] as number) * scale;
      return tensor;
    };
    const weight = (rows: number, columns: number) => filled([rows, columns], 1 / Math.sqrt(rows));
    const x = filled([1, tokens, dim]);
    const [wq, wk, wv, wo] = [0, 1, 2, 3].map(() => weight(dim, dim)) as [typeof x, typeof x, typeof x, typeof x];
    const attended = p.multiHeadAttention(p.rmsNorm(x, filled([dim])), { wq, wk, wv, wo, heads, causal: true });
    const hidden = p.add(x, attended);
    const inner = p.matmul(p.rmsNorm(hidden, filled([dim])), weight(dim, 4 * dim), { activation: 'gelu' });
    return { y: p.matmul(inner, weight(4 * dim, dim), { residual: hidden }) as Tensor<'f32'> };
  });
}

function digest({ data }: Tensor<'f32'>): string {
  return createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex');
}
