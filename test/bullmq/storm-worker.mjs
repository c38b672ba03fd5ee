// One worker process of storm.test.ts: embeds the jobs of a queue until it is ended. Uses the built library, as users do.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createProcessor, createWorker } from '../../dist/src/bullmq/index.js';
import { Engine } from '../../dist/src/index.js';
import { bundledModel } from '../../dist/src/models.js';

const { queue, connection, concurrency, lockDuration, stalledInterval } = JSON.parse(process.argv[2]);
const engine = await Engine.create({ threads: 1 });
const model = await engine.loadModel(bundledModel);
const processor = createProcessor(model, { kind: 'embed', vectors: 'base64' });
const worker = createWorker(queue, processor, { connection, concurrency, engine, lockDuration, stalledInterval });
const resolution = 1;
const delay = monitorEventLoopDelay({ resolution });
delay.enable();
// Redis is restarted meanwhile.
worker.on('error', () => {});
process.on('exit', () => console.log(JSON.stringify({ loopDelayMs: delay.percentile(99) / 1e6 - resolution })));
await worker.waitUntilReady();
console.log('ready');
