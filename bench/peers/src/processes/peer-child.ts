// The process of one peer: obeys the lines that peer-process.ts writes to its standard input, and answers each with one
// line that begins with '@'. `node dist/peer-child.js PEER THREADS`.
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
    answer = await obey(line);
  } catch (error) {
    answer = `error ${String(error instanceof Error ? error.message : error).replace(/\s+/g, ' ')}`;
  }
  process.stdout.write(`@${answer}\n`);
}
// The input has ended: whoever started this process is gone or done.
process.exit(0);

async function obey(line: string): Promise<string> {
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
