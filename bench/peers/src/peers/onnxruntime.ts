// The peer onnxruntime-node, on its CPU provider, through its public API: a session of a graph made in code. Operands
// and output are in tensors that are kept, so that a call copies no more than the API itself does.
import ort from 'onnxruntime-node';
import { smallest } from '../../../../dist/bench/measuring/statistics.js';
import { formulationsOf } from '../onnx/onnx-graphs.js';
import type { Formulation } from '../onnx/onnx-model.js';
import { encodeModel } from '../onnx/onnx-model.js';
import type { OpenPeer, Peer, Prepared } from '../processes/peer.js';
import { timeTurn } from '../timing/turn.js';
import { prepareTexts } from './onnx-texts.js';

/** How long each formulation is timed before the fastest is chosen. */
const trial = { turnMs: 80, warmups: 2, restMs: 0 };

/** With the nodes of com.microsoft, whose MultiHeadAttention most exported models have. */
export const open: OpenPeer = (threads) => openWith(threads, false);

/** With the Attention node of ai.onnx 23, for work that is attention alone. */
export const openStandard: OpenPeer = (threads) => openWith(threads, true);

const openWith = async (threads: number, isStandard: boolean): Promise<Peer> => ({
  about: `onnxruntime-node ${ort.env.versions.node ?? ort.env.versions.common}, ${threads} intra-op threads`,
  async prepare(work) {
    if (work.op === 'texts') return isStandard ? undefined : prepareTexts(work, optionsFor(threads));
    const prepared: { readonly how: string; readonly entry: Prepared; readonly ms: number }[] = [];
    const formulations = formulationsOf(work).filter((entry) => (entry.isStandard ?? false) === isStandard);
    for (const formulation of formulations) {
      const entry = await prepareOne(formulation, threads);
      const ms = formulations.length === 1 ? 0 : smallest(await timeTurn(entry.run, trial));
      prepared.push({ how: formulation.how, entry, ms });
    }
    prepared.sort((one, other) => one.ms - other.ms);
    for (const { entry } of prepared.slice(1)) await entry.release();
    const fastest = prepared[0];
    return fastest === undefined ? undefined : { ...fastest.entry, how: fastest.how };
  },
});

function optionsFor(threads: number): ort.InferenceSession.SessionOptions {
  return {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  };
}

async function prepareOne({ graph, feeds, toOurs }: Formulation, threads: number): Promise<Prepared> {
  const session = await ort.InferenceSession.create(encodeModel(graph), optionsFor(threads));
  const inputs = Object.fromEntries(
    graph.inputs.map(({ name, dims }) => [name, new ort.Tensor('float32', feeds[name] as Float32Array, dims)]),
  );
  const dims = (graph.outputs[0] as (typeof graph.outputs)[number]).dims;
  const values = new Float32Array(dims.reduce((product, size) => product * size, 1));
  const outputs = { y: new ort.Tensor('float32', values, dims) };
  return {
    run: () => session.run(inputs, outputs),
    result: () => toOurs(values),
    release: () => session.release(),
  };
}
