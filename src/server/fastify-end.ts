// The end of the server for Fastify: sockets, bodies and their limits. Loads Fastify when it is needed, because it is an
// optional peer. Called by server.ts.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { TesseraeError } from '../base/errors.js';
import { errorReply, RequestError } from './error-replies.js';
import { writeEvents } from './event-stream.js';
import type { Handlers } from './handlers.js';
import type { HttpHead, HttpReply } from './http.js';

const slowestHeadersMs = 10_000;
const mostConnections = 4096;
const oldestFastify = 5;
const needed = `tesserae/server needs the package fastify, ${oldestFastify} or newer`;

/** @param running the requests whose replies are not written to their end: aborting one ends it */
export async function fastifyEnd(handlers: Handlers, running: Set<AbortController>): Promise<FastifyInstance> {
  const { settings } = handlers;
  const { maxBodyBytes, requestTimeoutMs } = settings;
  const fastify = await importFastify();
  const app = fastify({
    bodyLimit: maxBodyBytes,
    requestTimeout: requestTimeoutMs,
    forceCloseConnections: true,
    http: {
      headersTimeout: Math.min(slowestHeadersMs, requestTimeoutMs),
      connectionsCheckingInterval: Math.min(1000, requestTimeoutMs),
    },
  });
  checkVersion(app);
  app.server.maxConnections = mostConnections;
  // Handlers parse bodies, so that what is wrong with them is said in one way.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.addHook('onRequest', (request, reply, done) => {
    const refusal = handlers.refusalOf(headOf(request));
    if (refusal === undefined) done();
    else void send(refusal, reply);
  });
  app.setErrorHandler((error: { statusCode?: number; message: string }, _request, reply) =>
    send(errorReply(requestErrorOf(error, maxBodyBytes)), reply),
  );
  const answer = async (request: FastifyRequest, reply: FastifyReply) => {
    const stop = new AbortController();
    running.add(stop);
    // Comes when all is written, too.
    reply.raw.on('close', () => {
      running.delete(stop);
      if (!reply.raw.writableFinished) stop.abort(new Error('the client went away'));
    });
    const { signal } = stop;
    const body = request.body as Buffer | undefined;
    const answered = await handlers.handle({ ...headOf(request), body, signal });
    if (typeof answered.body === 'string') return send(answered, reply);
    reply.hijack();
    reply.raw.writeHead(answered.status, answered.headers);
    await writeEvents(answered.body, reply.raw, { ...settings, signal });
  };
  app.all('/*', answer);
  app.setNotFoundHandler(answer);
  return app;
}

/** @throws TesseraeError ERR_UNSUPPORTED where it is missing */
async function importFastify(): Promise<typeof import('fastify').fastify> {
  try {
    return (await import('fastify')).fastify;
  } catch (cause) {
    throw new TesseraeError('ERR_UNSUPPORTED', `${needed}: npm install fastify`, { cause });
  }
}

function checkVersion({ version }: FastifyInstance): void {
  const major = Number.parseInt(version, 10);
  if (major < oldestFastify) throw new TesseraeError('ERR_UNSUPPORTED', `${needed}, and ${version} is installed`);
}

function headOf({ method, url, headers }: FastifyRequest): HttpHead {
  return { method, path: url.split('?')[0] as string, headers };
}

function send({ status, headers, body }: HttpReply, reply: FastifyReply): FastifyReply {
  return reply.code(status).headers(headers).send(body);
}

/** What Fastify itself finds wrong with a request. */
function requestErrorOf(error: { statusCode?: number; message: string }, maxBodyBytes: number): unknown {
  const { statusCode = 500 } = error;
  if (statusCode === 413) {
    return new RequestError(413, 'body_too_large', `the body may have ${maxBodyBytes} bytes at most`);
  }
  return statusCode < 500 ? new RequestError(statusCode, 'bad_request', error.message) : error;
}
