// The public names of `tesserae/server`. Fastify is an optional peer dependency. See README.md.
export { type CloseServerOptions, createServer, type ListenOptions, type TesseraeServer } from './server.js';
export type { ServerOptions } from './server-options.js';
