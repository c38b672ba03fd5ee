// Asks for /health again and again while storm.test.ts runs, from a process of its own, which has nothing else to do. Sends the
// times, in ms, when it is told to stop.
import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const agent = new Agent({ keepAlive: true });
const times = [];
let isOver = false;
process.on('message', () => {
  isOver = true;
});
while (!isOver) {
  const started = performance.now();
  await new Promise((resolve, reject) => {
    const request = get(`${process.argv[2]}/health`, { agent }, (reply) => {
      if (reply.statusCode !== 200) reject(new Error(`status ${reply.statusCode}`));
      reply.resume().on('end', resolve);
    });
    request.on('error', reject);
  });
  times.push(performance.now() - started);
  await sleep(5);
}
process.send(times.sort((a, b) => a - b));
process.disconnect();
agent.destroy();
