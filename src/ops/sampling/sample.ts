// sample: chooses a token for each row of logits (native/kernels/sample.h). Not in the registry: only recorded programs of
// models use it. Its parameters and results are SampleRows, which change from run to run.
import { describe } from '../../base/describe.js';
import { TesseraeError } from '../../base/errors.js';
import { unknownOption } from '../../base/options.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type CallOptions, checkTensor, defineOp } from '../op.js';
import { withUnitRows } from '../rowwise/rows.js';
import { SampleRows } from './sample-rows.js';

export interface SampleOptions {
  readonly rows: SampleRows;
  /** The index in `rows` of the first row of logits; 0 by default. */
  readonly firstRow?: number | undefined;
}

/** `out` is `rows.results`. */
export interface SampleArgs extends SampleOptions, CallOptions {
  readonly logits: Tensor;
}

const op = 'sample';
/** About two exponentials for each logit. */
const flopsPerLogit = 80;

export const sample = defineOp({
  name: op,
  parameters: ['logits', 'rows', 'firstRow'],
  inPlace: () => false,
  args: (logits: Tensor, options: SampleOptions): SampleArgs => ({ logits, out: options?.rows?.results, ...options }),
  operands: ({ logits, rows }) => [logits, rows.parameters],
  infer({ logits, rows, firstRow = 0, out }) {
    if (!(rows instanceof SampleRows)) throw new TesseraeError('ERR_ARGUMENT', 'rows must be SampleRows', { op });
    if (out !== rows.results) throw unknownOption('out', op);
    checkTensor(logits, op, 'logits', 'f32');
    const { vocabulary } = rows.sizes;
    if (logits.rank !== 2 || logits.shape[1] !== vocabulary || vocabulary === 0) {
      throw new TesseraeError('ERR_SHAPE', `logits must be [rows, ${vocabulary}], got ${logits.toString()}`, { op });
    }
    const end = firstRow + (logits.shape[0] as number);
    if (!Number.isSafeInteger(firstRow) || firstRow < 0 || end > rows.sizes.rows) {
      const message = `rows ${describe(firstRow)} to ${end - 1} are not all of ${rows.sizes.rows} rows`;
      throw new TesseraeError('ERR_SHAPE', message, { op });
    }
    return { shape: rows.results.shape, dtype: 'i32' };
  },
  record(recorder, { logits, rows, firstRow = 0 }, out) {
    const from = withUnitRows(recorder, logits);
    const [count, vocabulary] = from.shape as [number, number];
    if (count === 0) return;
    const parameters = rows.parameters.slice([firstRow, firstRow + count]);
    const results = out.slice([firstRow, firstRow + count]);
    const step = {
      kernel: 'sample',
      tiles: count,
      flops: flopsPerLogit * count * vocabulary,
      reads: [from, parameters],
      writes: [results],
    };
    recorder.emit(step, (params) =>
      params
        .pointer(from)
        .int(from.strides[0] as number)
        .int(vocabulary)
        .pointer(parameters)
        .pointer(results)
        .int(rows.resultStrideBytes)
        .int(rows.sizes.alternatives),
    );
  },
});
