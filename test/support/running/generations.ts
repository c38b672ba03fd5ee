// Helpers for tests of generation: a run to the end, and the statistics that must be unchanged afterwards.
import type { Engine } from '../../../src/engine.js';
import type { GenerateOptions } from '../../../src/generation/generate-options.js';
import type { Piece } from '../../../src/generation/generation-result.js';
import type { Prompt } from '../../../src/generation/prompt.js';
import type { Model } from '../../../src/model/model.js';

/** The result of a generation, with all of its pieces. */
export async function generate(model: Model, prompt: Prompt, options: GenerateOptions = {}) {
  const pieces: Piece[] = [];
  const generator = model.generate(prompt, options);
  for (;;) {
    const step = await generator.next();
    if (step.done === true) return { ...step.value, pieces };
    pieces.push(step.value);
  }
}

/** The statistics that a failed generation must leave unchanged. */
export function held(engine: Engine) {
  const { pool, team } = engine.stats();
  return { rentedBytes: pool.rentedBytes, liveTensors: pool.liveTensors, running: team.running, queued: team.queued };
}
