// Parses a JSON document except for its largest lists and objects, which are walked value by value: parsing a
// vocabulary of a quarter million tokens at once would block the event loop for half a second. Called by the readers of
// tokenizer.json.
import { isUtf8 } from 'node:buffer';
import { TesseraeError } from '../../base/errors.js';
import { JsonView } from '../../base/json-view.js';
import type { TimeSlice } from '../../base/time-slice.js';
import type { ByteList } from '../byte-list.js';

/** The largest rest of a document that is parsed at once. */
const MOST_REST_BYTES = 16 << 20;
const BYTES_PER_LOOK = 1 << 15;
const LONGEST_KEY = 64;

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** The text of a list or an object: bytes[start, end). */
export interface JsonSpan {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** The file and the place in it, with which messages begin. */
  readonly place: string;
}

export interface DocumentAround {
  /** The document, with null in place of each span. */
  readonly root: JsonView;
  /** The spans that exist, by path. */
  readonly spans: ReadonlyMap<string, JsonSpan>;
}

/**
 * Parses a document except for some lists and objects.
 * @param paths of these, such as `model.vocab`: a key of the outermost object, or of an object in it
 * @throws TesseraeError ERR_MODEL_FILE when the document is not JSON; AbortError
 */
export async function parseAround(
  bytes: Uint8Array,
  place: string,
  paths: readonly string[],
  timeSlice: TimeSlice,
): Promise<DocumentAround> {
  const fail = (cause?: unknown) => new TesseraeError('ERR_MODEL_FILE', `${place}: is not valid JSON`, { cause });
  if (!isUtf8(bytes)) throw fail();
  const spans = new Map<string, JsonSpan>();
  const rest: Uint8Array[] = [];
  let restStart = 0;
  for await (const { path, start, end } of findSpans(bytes, paths, timeSlice)) {
    spans.set(path, { bytes, start, end, place: `${place}: ${path.replace('.', ': ')}` });
    rest.push(bytes.subarray(restStart, start), Buffer.from('null'));
    restStart = end;
  }
  rest.push(bytes.subarray(restStart));
  const restBytes = rest.reduce((sum, part) => sum + part.length, 0);
  if (restBytes > MOST_REST_BYTES) {
    const problem = `has ${restBytes} bytes besides its vocabulary, more than ${MOST_REST_BYTES}`;
    throw new TesseraeError('ERR_MODEL_FILE', `${place}: ${problem}`);
  }
  try {
    return { root: new JsonView(JSON.parse(Buffer.concat(rest).toString()), place), spans };
  } catch (cause) {
    throw fail(cause);
  }
}

interface FoundSpan {
  readonly path: string;
  readonly start: number;
  readonly end: number;
}

async function* findSpans(
  bytes: Uint8Array,
  paths: readonly string[],
  timeSlice: TimeSlice,
): AsyncGenerator<FoundSpan> {
  /** The last key at depths 1 and 2. */
  const keys = ['', '', ''];
  let depth = 0;
  let found: { path: string; start: number; depth: number } | undefined;
  let lookAt = BYTES_PER_LOOK;
  for (let at = 0; at < bytes.length; at++) {
    if (at >= lookAt) {
      lookAt = at + BYTES_PER_LOOK;
      if (timeSlice.isOver()) await timeSlice.yield();
    }
    const unit = bytes[at] as number;
    if (unit === QUOTE) {
      const end = stringEnd(bytes, at);
      const next = afterSpaces(bytes, end);
      if (found === undefined && bytes[next] === COLON && depth >= 1 && depth <= 2) {
        keys[depth] = end - at > LONGEST_KEY ? '' : Buffer.from(bytes.subarray(at + 1, end - 1)).toString();
        const path = depth === 1 ? (keys[1] as string) : `${keys[1]}.${keys[2]}`;
        const start = afterSpaces(bytes, next + 1);
        const opens = bytes[start] === OPEN_OBJECT || bytes[start] === OPEN_LIST;
        if (opens && paths.includes(path)) found = { path, start, depth };
      }
      at = end - 1;
    } else if (unit === OPEN_OBJECT || unit === OPEN_LIST) {
      depth += 1;
      if (depth <= 2) keys[depth] = '';
    } else if (unit === CLOSE_OBJECT || unit === CLOSE_LIST) {
      depth -= 1;
      if (found === undefined || depth > found.depth) continue;
      yield { path: found.path, start: found.start, end: at + 1 };
      found = undefined;
    }
  }
}

/** The place after the closing quote of the string that opens at a byte; the end of the document if there is none. */
function stringEnd(bytes: Uint8Array, start: number): number {
  for (let at = start + 1; ; ) {
    const quote = bytes.indexOf(QUOTE, at);
    if (quote === -1) return bytes.length;
    let slashes = 0;
    while (bytes[quote - 1 - slashes] === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

function afterSpaces(bytes: Uint8Array, start: number): number {
  let at = start;
  while (isBlank(bytes[at])) at += 1;
  return at;
}

function isBlank(unit: number | undefined): boolean {
  return unit === 0x20 || unit === 0x0a || unit === 0x0d || unit === 0x09;
}

/**
 * Walks a span: `walker.open('{'); while (walker.next()) { walker.string(texts); walker.colon(); walker.number(); }`.
 */
export class JsonWalker {
  readonly #span: JsonSpan;
  #at: number;
  /** The closing brackets of the lists and objects that are open. */
  readonly #closers: number[] = [];
  /** Whether no entry of the innermost list or object was read yet. */
  #isFirst = false;

  constructor(span: JsonSpan) {
    this.#span = span;
    this.#at = span.start;
  }

  error(problem: string): TesseraeError {
    return new TesseraeError('ERR_MODEL_FILE', `${this.#span.place}: ${problem}`);
  }

  /** Whether a list comes next, rather than another value. */
  get isAtList(): boolean {
    return this.#peek() === OPEN_LIST;
  }

  open(what: '[' | '{'): void {
    this.#expect(what.charCodeAt(0), `must be ${what === '[' ? 'a list' : 'an object'}`);
    this.#closers.push(what === '[' ? CLOSE_LIST : CLOSE_OBJECT);
    this.#isFirst = true;
  }

  /** Goes to the next entry of the list or object. @returns false at its end, which is then closed */
  next(): boolean {
    if (this.#peek() === this.#closers.at(-1)) {
      this.#at += 1;
      this.#closers.pop();
      this.#isFirst = false;
      return false;
    }
    if (!this.#isFirst) this.#expect(COMMA, 'has no comma between two entries');
    this.#isFirst = false;
    return true;
  }

  colon(): void {
    this.#expect(COLON, 'has a key without a value');
  }

  /** Reads a string and appends its UTF-8. */
  string(into: ByteList): void {
    const { bytes, end: spanEnd } = this.#span;
    if (this.#peek() !== QUOTE) throw this.error('has a token that is not a string');
    const start = this.#at;
    const end = stringEnd(bytes, start);
    if (end > spanEnd) throw this.error('ends within a string');
    this.#at = end;
    let isPlain = true;
    for (let at = start + 1; at < end - 1 && isPlain; at++) {
      isPlain = bytes[at] !== BACKSLASH && (bytes[at] as number) >= 0x20;
    }
    if (isPlain) {
      into.append(bytes, start + 1, end - 1);
      return;
    }
    const spelled = Buffer.from(parseSmall(this, bytes, start, end) as string);
    into.append(spelled, 0, spelled.length);
  }

  number(): number {
    const { bytes, end } = this.#span;
    this.#peek();
    const start = this.#at;
    let value = 0;
    let at = start;
    for (; at < end && isDigit(bytes[at]); at++) value = 10 * value + ((bytes[at] as number) - ZERO);
    const unit = bytes[at];
    const isInteger = unit === COMMA || unit === CLOSE_LIST || unit === CLOSE_OBJECT || isBlank(unit);
    if (isInteger && at > start && at - start < 16 && (bytes[start] !== ZERO || at === start + 1)) {
      this.#at = at;
      return value;
    }
    while (at < end && (isDigit(bytes[at]) || ((bytes[at] as number) | 0x20) === 0x65 || isSign(bytes[at]))) at += 1;
    const parsed = parseSmall(this, bytes, start, at);
    if (typeof parsed !== 'number') throw this.error('has an id or a score that is not a number');
    this.#at = at;
    return parsed;
  }

  /** Skips white space. @returns the next byte, 0 at the end */
  #peek(): number {
    this.#at = afterSpaces(this.#span.bytes, this.#at);
    return this.#at < this.#span.end ? (this.#span.bytes[this.#at] as number) : 0;
  }

  #expect(unit: number, problem: string): void {
    if (this.#peek() !== unit) throw this.error(problem);
    this.#at += 1;
  }
}

function isDigit(unit: number | undefined): boolean {
  return unit !== undefined && unit >= ZERO && unit <= NINE;
}

function isSign(unit: number | undefined): boolean {
  return unit === MINUS || unit === 0x2b || unit === 0x2e;
}

function parseSmall(walker: JsonWalker, bytes: Uint8Array, start: number, end: number): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString());
  } catch {
    throw walker.error('has a value that is not valid JSON');
  }
}
