// Adds a flow: a child for each 500 lines of a JSON Lines file, and a parent that joins their parts. Waits for the end.
import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { FlowProducer, QueueEvents } from 'bullmq';

const connection = { url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379' };
const linesPerJob = Number(process.env.LINES_PER_JOB ?? 500);
const [input, output] = process.argv.slice(2).map((path) => resolve(path));

/** The ranges of bytes with so many lines each. */
async function* shardsOf(file) {
  let [from, at, lines] = [0, 0, 0];
  for await (const part of createReadStream(file)) {
    for (let end = part.indexOf(10); end !== -1; end = part.indexOf(10, end + 1)) {
      if (++lines < linesPerJob) continue;
      yield { from, to: at + end + 1 };
      [from, lines] = [at + end + 1, 0];
    }
    at += part.length;
  }
  if (at > from) yield { from, to: at };
}

const children = [];
for await (const range of shardsOf(input)) {
  const data = { input, ...range, part: `${output}.parts/${children.length}` };
  const opts = { attempts: 5, backoff: 1000, failParentOnFailure: true, removeOnComplete: true };
  children.push({ name: 'shard', queueName: 'shards', data, opts });
}
const parts = children.map(({ data }) => data.part);
const flow = new FlowProducer({ connection });
const events = new QueueEvents('joins', { connection });
await events.waitUntilReady();
const { job } = await flow.add({ name: 'join', queueName: 'joins', data: { output, parts }, children });
console.log(await job.waitUntilFinished(events));
await events.close();
await flow.close();
