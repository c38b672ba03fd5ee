// The process of one peer: executes the commands that peer-process.ts writes to its standard input, one a line, and
// answers each with a line that begins with '@'. `node dist/processes/peer-child.js PEER THREADS`.
import { writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { timeTurn } from '../timing/turn.js';
import { decodeWork } from '../work/work.js';
import type { OpenPeer, Peer, Prepared } from './peer.js';

const openers: Readonly<Record<string, () => Promise<{ readonly open: OpenPeer }>>> = {
  onnxruntime: () => import('../peers/onnxruntime.js'),
  'onnx Attention': async () => ({ open: (await import('../peers/onnxruntime.js')).openStandard }),
  'tfjs-wasm': () => import('../peers/tfjs-wasm.js'),
  'naive loop': () => import('../peers/naive-loop.js'),
  piscina: () => import('../peers/piscina.js'),
};

const [name = '', threads = '1'] = process.argv.slice(2);
let peer: Peer | undefined;
let prepared: Prepared | undefined;

for await (const line of createInterface({ input: process.stdin })) {
  let answer: string;
  try {
    answer = await execute(line);
  } catch (error) {
    answer = `error ${String(error instanceof Error ? error.message : error).replace(/\s+/g, ' ')}`;
  }
  process.stdout.write(`@${answer}\n`);
}
// The input has ended: the process that started this one has ended, or needs it no longer.
process.exit(0);

async function execute(line: string): Promise<string> {
  const [command, ...words] = line.split(' ');
  switch (command) {
    case 'open':
      peer = await (await (openers[name] as (typeof openers)[string])()).open(Number(threads));
      return `ok ${peer.about}`;
    case 'prepare':
      prepared = await peer?.prepare(decodeWork(words));
      return prepared === undefined ? 'unsupported' : `ok ${prepared.how ?? ''}`;
    case 'turn': {
      const [turnMs, warmups, restMs] = words.map(Number) as [number, number, number];
      const run = (prepared as Prepared).run;
      return `ok ${(await timeTurn(run, { turnMs, warmups, restMs })).join(' ')}`;
    }
    case 'result':
      await writeFile(words.join(' '), await (prepared as Prepared).result());
      return 'ok';
    case 'release':
      await prepared?.release();
      prepared = undefined;
      return 'ok';
    default:
      throw new Error(`there is no command ${command}`);
  }
}
