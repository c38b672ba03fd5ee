// The application of the image: generates a line with the bundled model. Writes no file.
import { Engine } from 'tesserae';
import { bundledModel } from 'tesserae/models';

const engine = await Engine.create({ memoryBudget: 2 ** 28 });
const model = await engine.loadModel(bundledModel);
console.log((await model.generate('The sea', { maxTokens: 16, temperature: 0 }).result).text);
await engine.close();
