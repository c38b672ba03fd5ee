// The public names of `tesserae/bullmq`. BullMQ is an optional peer dependency. See README.md.
export { createProcessor, type TesseraeProcessor } from './processor.js';
export { createWorker, type TesseraeWorker, type TesseraeWorkerOptions } from './worker.js';
