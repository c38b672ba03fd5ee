// GET /: a page to chat with the models and to watch the engine. It loads nothing from elsewhere, and needs a key as every
// client does.
import { type HttpReply, textReply } from '../http.js';
import { pageDocument, pageStyle } from '../page/document.js';
import { pageScript } from '../page/script.js';

/** Nothing but the page's own files, and the server itself. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const headers = { 'cache-control': 'no-cache', 'referrer-policy': 'no-referrer' };

export function page(): HttpReply {
  return textReply(pageDocument, 'text/html; charset=utf-8', 200, { ...headers, 'content-security-policy': policy });
}

export function pageCss(): HttpReply {
  return textReply(pageStyle, 'text/css; charset=utf-8', 200, headers);
}

export function pageJs(): HttpReply {
  return textReply(pageScript, 'text/javascript; charset=utf-8', 200, headers);
}
