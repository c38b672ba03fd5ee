// The paths of the bundled model and of the same model in F32, and the texts and figures of its card. Used by the tests
// of models.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../../../', import.meta.url);
const fixtures = new URL('test/fixtures/models/', root);

export const bundledModelPath = fileURLToPath(new URL('models/tesserae-tiny-f16.gguf', root));
export const bundledModelF32Path = fileURLToPath(new URL('tesserae-tiny-f32.gguf', fixtures));

interface TextFigures {
  tokens: number;
  nll: number;
  perplexity: number;
  f16: { nll: number; perplexity: number };
}

/** Figures of a float64 reference implementation; `card.method` says how the perplexities were computed. */
export interface ModelCard {
  parameters: number;
  vocabulary: number;
  context_trained: number;
  method: string;
  heldout: TextFigures & { firstIds: number[] };
  check: TextFigures & { ids: number[] };
  greedy: { prompt: string; ids: number[]; text: string };
}

export const card = JSON.parse(readFileSync(new URL('card.json', fixtures), 'utf8')) as ModelCard;

export function readFixtureText(name: 'heldout.txt' | 'check.txt'): string {
  return readFileSync(new URL(name, fixtures), 'utf8');
}
