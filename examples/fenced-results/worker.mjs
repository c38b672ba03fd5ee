// A BullMQ worker that stores its results itself, fenced by the lock of the job: who has lost the lock writes nothing.
import { Redis } from 'ioredis';
import { Engine } from 'tesserae';
import { createProcessor, createWorker } from 'tesserae/bullmq';
import { bundledModel } from 'tesserae/models';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const redis = new Redis(url, { maxRetriesPerRequest: null });

/** Writes a field of a hash, unless the lock has another token, or none. */
redis.defineCommand('storeWithLock', {
  numberOfKeys: 2,
  lua: `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
        return 1`,
});

const engine = await Engine.create({ memoryBudget: 2 ** 30 });
const embed = createProcessor(await engine.loadModel(bundledModel), { kind: 'embed', vectors: 'base64' });

// Three plain parameters: BullMQ gives a signal only to such a function.
async function embedAndStore(job, token, signal) {
  const { vector } = await embed(job, token, signal);
  const lock = `${job.queueQualifiedName}:${job.id}:lock`;
  const isStored = await redis.storeWithLock(lock, 'vectors', token, job.id, vector);
  if (isStored === 0) throw new Error('the lock was lost: another worker stores the result');
  return { stored: true };
}

const processor = Object.assign(embedAndStore, { runner: embed.runner });
const worker = createWorker('texts', processor, { connection: { url }, engine });
worker.on('error', ({ message }) => console.error(message));
worker.on('closed', () => redis.disconnect());
