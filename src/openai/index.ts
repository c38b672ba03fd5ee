// What other adapters use of this room. See README.md.
export { type BodyRequest, readBody } from './requests.js';
export { bodyOf, type ResponseContext } from './responses.js';
