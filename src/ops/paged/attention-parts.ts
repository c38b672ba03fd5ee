// Attention of steps that see many keys: results of key blocks are kept as parts (native/kernels/attention_parts.h), and
// merged by a step of their own (merge_attention_parts.h). Used by pagedAttention alone.
import type { ParamWriter } from '../../program/param-writer.js';
import type { Recorder } from '../../program/recorder.js';
import type { Tensor } from '../../tensor/tensor.js';
import { blockElements } from '../quantized/quantized-rows.js';
import { packed } from '../rowwise/rows.js';
import type { PartsWork } from './step-rows.js';

/** Floats that a line of a part begins and ends with a multiple of: kPartPanel. */
const panel = 16;
/** Heads whose parts are merged together, at most: kMostMergedHeads. */
const mostMergedHeads = 8;
/** Tiles of merging for each thread, where there are enough heads. */
const tilesPerThread = 2;

/** The parts of a step, and where its work list is. */
export interface Parts {
  readonly runs: Tensor;
  readonly starts: Tensor;
  /** f32 [parts, heads, {@link partLine}]. */
  readonly lines: Tensor;
}

/** Floats of one part of one head. */
export function partLine(vDim: number): number {
  return Math.ceil(vDim / panel) * panel + panel;
}

export function partsOf(recorder: Recorder, work: PartsWork, heads: number, vDim: number): Parts {
  return {
    runs: work.runs,
    starts: packed(recorder, work.partStarts),
    lines: recorder.temporary([work.mostParts, heads, partLine(vDim)]),
  };
}

/** AttentionParts of native/kernels/attention_parts.h. */
export function writeParts(params: ParamWriter, { lines, starts }: Parts): ParamWriter {
  return params
    .pointer(lines)
    .pointer(starts)
    .int(lines.shape[0] as number);
}

export interface MergedOutputs {
  readonly rows: number;
  readonly heads: number;
  readonly vDim: number;
  /** f32 [rows, heads · vDim]; a row is contiguous. */
  readonly out: Tensor;
}

export function recordMerge(recorder: Recorder, parts: Parts, { rows, heads, vDim, out }: MergedOutputs): void {
  const wanted = tilesPerThread * recorder.threads;
  const tileHeads = Math.min(mostMergedHeads, Math.ceil((rows * heads) / wanted));
  const groups = rows * Math.ceil(heads / tileHeads);
  const tileGroups = Math.max(1, Math.floor(groups / wanted));
  const step = {
    kernel: 'merge_attention_parts',
    quantizes: vDim % blockElements === 0,
    tiles: Math.ceil(groups / tileGroups),
    flops: 2 * parts.lines.size,
    reads: [parts.lines, parts.starts],
    writes: [out],
  };
  recorder.emit(step, (params) => {
    params.pointer(out).ints([rows, heads, vDim, out.strides[0] as number, vDim, tileHeads, tileGroups]);
    writeParts(params, parts).pointer(undefined);
  });
}
