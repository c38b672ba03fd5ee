// What the commands `bench` and `demo` take from the benchmarks. No part of the library's public names.
export { BenchContext } from './measuring/context.js';
export { attentionShapes, matmulShapes } from './measuring/shapes.js';
export { WrongResultError } from './measuring/wrong-result.js';
export { MissingPeerError } from './processes/missing-peer.js';
export {
  type ModelShapeName,
  type ModelTypeName,
  modelFile,
  modelShapeNames,
  modelTypeNames,
} from './random-model/model-file.js';
export { renderPage } from './reports/html/page.js';
export type { PeerData, ReportData } from './reports/html/page-data.js';
export { parsePeers } from './reports/html/peers-document.js';
export { formatReport } from './reports/report-text.js';
export { runForPage, runSelection, runSuite, type SuiteName, suiteNames } from './suites/run-suites.js';
export { benchAttention, benchMatmul, type ThroughputRow } from './suites/throughput.js';
