// Loads weights from their stored image where there is one, and stores it where there is none. Called by loadModel with the
// option `cache`.
import type { Weights } from '../../architectures/architecture.js';
import { messageOf } from '../../base/describe.js';
import { AbortError } from '../../base/errors.js';
import type { Compute } from '../../ops/calls/compute.js';
import type { PlacedTensor } from '../placed-tensors.js';
import { disposeWeights, loadWeights, type WeightLoadOptions } from '../weights.js';
import { ImageFolder, isAsPlanned } from './image-folder.js';
import { planImage } from './image-plan.js';

/** The code of the warning that an image could not be stored. */
const warningCode = 'TESSERAE_CACHE';

export interface StoredWeightOptions extends WeightLoadOptions {
  /** The folder of images. */
  readonly cache: string;
}

/**
 * As loadWeights. Storing an image may fail, for example on a full disk: the weights are then those of the model's files, and
 * there is a warning.
 * @throws TesseraeError also ERR_ARGUMENT for a folder that is not this user's own
 */
export async function storedWeights(
  compute: Compute,
  tensors: readonly PlacedTensor[],
  options: StoredWeightOptions,
): Promise<Weights> {
  const { cache, signal, onProgress } = options;
  const folder = await ImageFolder.open(cache, compute, 'loadModel');
  const plan = await planImage(tensors, compute.packedLayout);
  const stored = await folder.find(plan, signal);
  if (stored !== undefined) {
    const totalBytes = tensors.reduce((sum, { tensor }) => sum + tensor.sizeBytes, 0);
    try {
      onProgress?.({ loadedBytes: totalBytes, totalBytes });
      return stored;
    } catch (error) {
      disposeWeights(stored);
      throw error;
    }
  }
  const weights = await loadWeights(compute, tensors, options);
  if (!isAsPlanned(plan, weights)) return weights;
  try {
    return await folder.keep(plan, weights, signal);
  } catch (error) {
    if (error instanceof AbortError) {
      disposeWeights(weights);
      throw error;
    }
    process.emitWarning(`the weights were not stored in ${cache}: ${messageOf(error)}`, { code: warningCode });
    return weights;
  }
}
