// Every kernel set but the reference gives the bits that digests.txt records: each op's conformance cases, the bundled
// model in each type that quantizeModel writes, and sampled tokens. After a change that is meant to change bits,
// `vitest run test/golden -u` writes the file anew.
import { createHash } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import type { QuantizeType } from '../../src/checkpoint/quantize/quantize-rules.js';
import type { Engine } from '../../src/engine.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { bundledModelF32Path, card } from '../support/models/bundled-model.js';
import type { OpCase } from '../support/ops/op-case.js';
import { opCases } from '../support/ops/op-cases.js';
import { placeOperand, placeOutput } from '../support/ops/op-layouts.js';
import { isas, sharedEngines } from '../support/running/engines.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const engineOf = sharedEngines();
const folder = temporaryFolder();
afterAll(() => folder.remove());

const types: readonly QuantizeType[] = ['q8_0', 'q4_0', 'q4_k', 'q6_k'];

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

async function linesOfModel(engine: Engine, name: string, path: string): Promise<string[]> {
  using model = await engine.loadModel(path);
  const ids = card.check.ids.slice(0, 48);
  const prefilled = new Digest();
  prefilled.add(await model.logits(ids));
  using session = model.session();
  const decoded = new Digest();
  for (let i = 0; i < ids.length; i += 6) decoded.add(await session.append(ids.slice(i, i + 1 + (i % 4))));
  const sampling = { maxTokens: 24, ignoreEos: true, temperature: 0.9, topK: 40, topP: 0.95, seed: 7 };
  const sampled = new Digest();
  sampled.add((await model.generate(card.greedy.prompt, sampling).result).tokens);
  return [`logits ${name} ${prefilled.end()}`, `steps ${name} ${decoded.end()}`, `sampled ${name} ${sampled.end()}`];
}

describe.each(isas.filter((isa) => isa !== 'ref'))('%s', (isa) => {
  test('gives the recorded bits', { timeout: 120_000 }, async () => {
    const engine = await engineOf({ threads: 2, isa });
    const lines: string[] = [];
    for (const name of Object.keys(opCases).sort()) lines.push(`op ${name} ${await digestOfOp(engine, name)}`);
    lines.push(...(await linesOfModel(engine, 'f32', bundledModelF32Path)));
    for (const type of types) {
      const path = folder.file(`${isa}-${type}.gguf`);
      await engine.quantizeModel(bundledModelF32Path, path, { type });
      lines.push(...(await linesOfModel(engine, type, path)));
    }
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('digests.txt');
  });
});
