// An application in one executable. The addon, the worker file and the model lie beside it.
import { dirname, join } from 'node:path';
import { Engine } from 'tesserae';

async function main() {
  const folder = dirname(process.execPath);
  const addonPath = join(folder, 'tesserae.node');
  const workerPath = join(folder, 'worker.cjs');
  const engine = await Engine.create({ threads: 2, addonPath, workerPath });
  const model = await engine.loadModel(join(folder, 'tesserae-tiny-f16.gguf'));
  const { text } = await model.generate('The sea', { maxTokens: 16, temperature: 0 }).result;
  console.log(text);
  await engine.close();
}

void main();
