// What the commands `bench` and `demo` need before they run: names for their options and help, and the errors that they
// expect. It loads neither the library nor a benchmark, so that `tesserae` starts fast; those are in index.ts.
export { attentionShapes, matmulShapes } from './measuring/shapes.js';
export { WrongResultError } from './measuring/wrong-result.js';
export { MissingPeerError } from './processes/missing-peer.js';
export {
  type ModelShapeName,
  type ModelTypeName,
  modelShapeNames,
  modelTypeNames,
} from './random-model/model-shapes.js';
export { type SuiteName, suiteNames } from './suites/suite-names.js';
