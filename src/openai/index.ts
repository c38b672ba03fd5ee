// What other adapters use of this room. See README.md.

export { BodyFields, wrong } from './body-fields.js';
export { bareOpening } from './call-formats.js';
export { type ChatRequest, readChatRequest } from './chat-requests.js';
export { type CompletionRequest, readCompletionRequest, readEmbeddingRequest } from './completion-requests.js';
export type { Delivery } from './delivery.js';
export { type BodyRequest, readBody } from './requests.js';
export { bodyOf, embeddingItem, logprobOf, type RatedToken, type ResponseContext } from './responses.js';
export { type ResponsesRequest, readResponsesRequest } from './responses-requests.js';
export type { Tool } from './tool.js';
export type { ToolCall, ToolUse } from './tools.js';
