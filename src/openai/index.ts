// What other adapters use of this room. See README.md.
export { type ChatRequest, type Delivery, readChatRequest } from './chat-requests.js';
export { type BodyRequest, readBody } from './requests.js';
export { bodyOf, logprobOf, type ResponseContext } from './responses.js';
export type { Tool, ToolCall, ToolUse } from './tools.js';
