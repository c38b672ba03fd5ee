// A function that embeds texts with the bundled model. The engine and the model are made once for each instance, outside of the
// handler. A layer is found by `require`, not by `import`.
const { Engine } = require('tesserae');
const { bundledModel } = require('tesserae/models');

const ready = (async () => {
  const engine = await Engine.create({ memoryBudget: 2 ** 28 });
  return engine.loadModel(bundledModel);
})();

exports.handler = async ({ texts }) => {
  const model = await ready;
  return (await model.embed(texts)).map((vector) => [...vector]);
};
