// What the commands `bench` and `demo` run. No part of the library's public names. They import it when they run; what
// they need before that is in registration.ts.
export { BenchContext } from './measuring/context.js';
export { modelFile } from './random-model/model-file.js';
export { renderPage } from './reports/html/page.js';
export type { PeerData, ReportData } from './reports/html/page-data.js';
export { parsePeers } from './reports/html/peers-document.js';
export { formatReport } from './reports/report-text.js';
export { runForPage, runSelection, runSuite } from './suites/run-suites.js';
export { benchAttention, benchMatmul, type ThroughputRow } from './suites/throughput.js';
