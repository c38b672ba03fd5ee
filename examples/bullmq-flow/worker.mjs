// Embeds the children of flows, and joins the parts of those that are complete.
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { UnrecoverableError, Worker } from 'bullmq';
import { Engine } from 'tesserae';
import { createProcessor, createWorker } from 'tesserae/bullmq';
import { bundledModel } from 'tesserae/models';

const connection = { url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379' };
const engine = await Engine.create({ memoryBudget: 2 ** 30 });
const embed = createProcessor(await engine.loadModel(bundledModel), { kind: 'embed', vectors: 'base64' });

// Three plain parameters: BullMQ gives a signal only to such a function.
async function embedShard(job, token, signal) {
  const { input, from, to, part } = job.data;
  const texts = await textsOf(input, from, to);
  const { vectors } = await embed(Object.create(job, { data: { value: { texts } } }), token, signal);
  await mkdir(dirname(part), { recursive: true });
  // A part is there as a whole, or not at all.
  await writeFile(`${part}.${token}`, Buffer.concat(vectors.map((vector) => Buffer.from(vector, 'base64'))));
  await rename(`${part}.${token}`, part);
  return texts.length;
}

async function textsOf(path, from, to) {
  const file = await open(path);
  const { buffer } = await file.read(Buffer.alloc(to - from), 0, to - from, from);
  await file.close();
  try {
    return buffer
      .toString('utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).text);
  } catch (error) {
    throw new UnrecoverableError(`bytes ${from} to ${to}: ${error.message}`);
  }
}

async function join(job) {
  const { output, parts } = job.data;
  if (job.progress !== 'joined') await joinParts(output, parts);
  await job.updateProgress('joined');
  await rm(`${output}.parts`, { recursive: true, force: true });
  return { parts: parts.length };
}

async function joinParts(output, parts) {
  for (const [index, part] of parts.entries()) {
    await pipeline(createReadStream(part), createWriteStream(`${output}.joining`, { flags: index === 0 ? 'w' : 'a' }));
  }
  await rename(`${output}.joining`, output);
}

const joins = new Worker('joins', join, { connection });
const processor = Object.assign(embedShard, { runner: embed.runner });
// Two children fill the steps of a model: while one is read and written, the other is computed.
const shards = createWorker('shards', processor, { connection, engine, concurrency: 2 });
shards.once('closing', () => joins.close());
