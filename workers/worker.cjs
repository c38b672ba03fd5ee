// The entry of dist/worker.cjs, one self-contained file, which `workerPath` of Engine.create may name. workerData says what it is
// for: 'seat', Piscina's own worker, whose task is to take a seat of a team; 'text', the thread for untrusted text. Anywhere
// else it exports Piscina, for src/team/worker-pool.ts.
'use strict';
const { workerData } = require('node:worker_threads');

Object.defineProperty(exports, '__esModule', { value: true });
switch (workerData?.tesserae) {
  case 'seat':
    // Loaded when Piscina takes it: a test has Piscina take another file.
    Object.defineProperty(exports, 'default', { get: () => require('./shift.ts').default });
    require('../node_modules/piscina/dist/worker.js');
    break;
  case 'text':
    require('./text.ts');
    break;
  default:
    exports.Piscina = require('../node_modules/piscina/dist/main.js').Piscina;
}
