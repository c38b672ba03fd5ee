// The lines of digests.txt as an engine computes them: a digest for each op's conformance cases, and for the bundled model in
// each type that quantizeModel writes. Used by golden.test.ts, and by scripts/try-arm64.mjs without vitest.
import { createHash } from 'node:crypto';
import type { QuantizeType } from '../../src/checkpoint/quantize/quantize-rules.js';
import type { Engine } from '../../src/engine.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import type { OpCase } from '../support/ops/op-case.js';
import { opCases } from '../support/ops/op-cases.js';
import { placeOperand, placeOutput } from '../support/ops/op-layouts.js';

const types: readonly QuantizeType[] = ['q8_0', 'q4_0', 'q4_k', 'q6_k'];

/** The bundled model in F32, and token ids and a prompt for it. */
export interface GoldenModel {
  readonly path: string;
  readonly ids: readonly number[];
  readonly prompt: string;
}

/** All lines of digests.txt, in order. `newFile` gives paths for quantized models. */
export async function goldenLines(
  engine: Engine,
  model: GoldenModel,
  newFile: (name: string) => string,
): Promise<string[]> {
  const lines: string[] = [];
  for (const name of Object.keys(opCases).sort()) lines.push(`op ${name} ${await digestOfOp(engine, name)}`);
  lines.push(...(await linesOfModel(engine, 'f32', model)));
  for (const type of types) {
    const path = newFile(`${type}.gguf`);
    await engine.quantizeModel(model.path, path, { type });
    lines.push(...(await linesOfModel(engine, type, { ...model, path })));
  }
  return lines;
}

/** A digest of numbers. All NaNs count as one: CPUs give them different signs. */
class Digest {
  readonly #hash = createHash('sha256');

  add(values: ArrayLike<number>): void {
    // A Float64Array represents the elements of every dtype exactly, and -0.
    this.#hash.update(Float64Array.from(values, (value) => (Number.isNaN(value) ? Number.NaN : value)));
  }

  end(): string {
    return this.#hash.digest('hex').slice(0, 32);
  }
}

async function digestOfOp(engine: Engine, name: string): Promise<string> {
  const digest = new Digest();
  for (const opCase of opCases[name] as readonly OpCase[]) {
    using scope = engine.scope();
    const tensors: Record<string, Tensor> = {};
    for (const [key, operand] of Object.entries(opCase.operands)) tensors[key] = placeOperand(scope, operand, 'padded');
    const { out } = placeOutput(scope, opCase, 'padded');
    await opCase.call(engine, tensors, { out });
    digest.add(out.toArray());
  }
  return digest.end();
}

async function linesOfModel(engine: Engine, name: string, { path, ids, prompt }: GoldenModel): Promise<string[]> {
  using model = await engine.loadModel(path);
  const prefilled = new Digest();
  prefilled.add(await model.logits(ids));
  using session = model.session();
  const decoded = new Digest();
  for (let i = 0; i < ids.length; i += 6) decoded.add(await session.append(ids.slice(i, i + 1 + (i % 4))));
  const sampling = { maxTokens: 24, ignoreEos: true, temperature: 0.9, topK: 40, topP: 0.95, seed: 7 };
  const sampled = new Digest();
  sampled.add((await model.generate(prompt, sampling).result).tokens);
  return [`logits ${name} ${prefilled.end()}`, `steps ${name} ${decoded.end()}`, `sampled ${name} ${sampled.end()}`];
}
