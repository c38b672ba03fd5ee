// The public names of `tesserae/ai-sdk`.
export { createTesserae, type TesseraeProvider, type TesseraeProviderOptions } from './provider.js';
