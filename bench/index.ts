// What the command takes from the benchmarks. Not part of the library's public face.
export { type Cache, cacheName } from '../src/machine/caches.js';
export { BenchContext } from './context.js';
export { bundledModelPath, describeMachine, type Machine, packageVersion } from './machine.js';
export { MissingPeerError } from './missing-peer.js';
export { type ModelShapeName, type ModelTypeName, modelFile, modelShapeNames, modelTypeNames } from './model-file.js';
export { runForPage } from './page-report.js';
export { type BenchReport, formatReport, runSelection, runSuite, type SuiteName, suiteNames } from './report.js';
export type { PeerData, ReportData } from './report-html/data.js';
export { renderPage } from './report-html/page.js';
export { parsePeers } from './report-html/peers.js';
export { probeRoofline, type Roofline, workersText } from './roofline.js';
export { attentionShapes, matmulShapes } from './shapes.js';
export {
  type Column,
  formatBytes,
  formatMs,
  formatNumber,
  formatShare,
  formatSpeedup,
  renderTable,
} from './table.js';
export { benchAttention, benchMatmul, type ThroughputRow } from './throughput.js';
export { WrongResultError } from './wrong-result.js';
