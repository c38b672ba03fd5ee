// The public names of `tesserae/models`: the models that come with the package.
import { bundledModelPath } from './base/package-files.js';

/** The path of a small GGUF model of English texts, for trying things out. See its card in the package's folder `models`. */
export const bundledModel: string = bundledModelPath();
