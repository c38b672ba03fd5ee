// The public names of `tesserae/langchain`.
export {
  ChatTesserae,
  type ChatTesseraeCallOptions,
  type ChatTesseraeInput,
  type ChatTesseraeOptions,
} from './chat-model.js';
export { TesseraeEmbeddings, type TesseraeEmbeddingsInput } from './embeddings.js';
