// The server of storm.test.ts, in a process of its own. Sends its URL, and its figures when it is asked for them.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Engine } from '../../../dist/src/index.js';
import { bundledModel } from '../../../dist/src/models.js';
import { createServer } from '../../../dist/src/server/index.js';

const engine = await Engine.create({ threads: 1 });
// The tests run many processes at once, and the time of a template is wall time.
const model = await engine.loadModel(bundledModel, { templateTimeoutMs: 5000 });
await model.warmup();
const apiKeys = [process.argv[2]];
const server = await createServer({
  engine,
  models: { tiny: model },
  apiKeys,
  requestTimeoutMs: 6000,
  keepAliveMs: 100,
});
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();

process.on('message', async (wanted) => {
  if (wanted === 'figures') {
    globalThis.gc();
    process.send({
      pressure: engine.pressure(),
      requests: server.requests,
      rentedBytes: engine.stats().pool.rentedBytes,
      heapBytes: process.memoryUsage().heapUsed,
      delayP99Ms: delay.percentile(99) / 1e6,
    });
    delay.reset();
    return;
  }
  await server.close();
  await engine.close();
  process.disconnect();
});
process.send({ url: await server.listen({ port: 0 }) });
