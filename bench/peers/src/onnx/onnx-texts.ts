// The ONNX graph of the work `texts`: an encoder over a padded batch of any size, and the mean over each text's own tokens.
// Runs nothing.
import { encoderLayers } from '../work/encoder-operands.js';
import type { TextsWork } from '../work/work.js';
import { layerOf } from './onnx-encoder.js';
import type { OnnxGraph } from './onnx-model.js';

/**
 * Inputs: `x0` [batch, tokens, width], `lengths` i32 [batch], `shares` [batch, 1, tokens], which has 1 / length for the tokens
 * of a text and 0 behind them. Output: `pooled` [batch, 1, width].
 */
export function textsGraph(work: TextsWork, isJoined: boolean): OnnxGraph {
  const { width } = work;
  const layers = encoderLayers(work).map((layer, index) =>
    layerOf(layer, index, { ...work, isJoined, lengths: 'lengths' }),
  );
  const pooling = { op: 'MatMul', inputs: ['shares', 'y'], outputs: ['pooled'] };
  return {
    nodes: [...layers.flatMap(({ nodes }) => nodes), pooling],
    inputs: [
      { name: 'x0', dims: ['batch', 'tokens', width] },
      { name: 'lengths', dims: ['batch'], type: 'i32' },
      { name: 'shares', dims: ['batch', 1, 'tokens'] },
    ],
    initializers: layers.flatMap(({ initializers }) => initializers),
    outputs: [{ name: 'pooled', dims: ['batch', 1, width] }],
  };
}
