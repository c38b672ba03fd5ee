// What the commands `bench` and `demo` take from the benchmarks. No part of the library's public names.
export { BenchContext } from './context.js';
export { MissingPeerError } from './missing-peer.js';
export { type ModelShapeName, type ModelTypeName, modelFile, modelShapeNames, modelTypeNames } from './model-file.js';
export { runForPage } from './page-report.js';
export { formatReport, runSelection, runSuite, type SuiteName, suiteNames } from './report.js';
export type { PeerData, ReportData } from './report-html/data.js';
export { renderPage } from './report-html/page.js';
export { parsePeers } from './report-html/peers.js';
export { attentionShapes, matmulShapes } from './shapes.js';
export { benchAttention, benchMatmul, type ThroughputRow } from './throughput.js';
export { WrongResultError } from './wrong-result.js';
