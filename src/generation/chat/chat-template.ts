// Runs Jinja chat templates within limits, since a model file's template is untrusted: counts the interpreter's steps
// and the text that they produce, and changes nothing else about it. Called by chat.ts.
import { Environment, Interpreter, Template } from '@huggingface/jinja';
import { TesseraeError } from '../../base/errors.js';

/** The longest template. Real ones are shorter than 50 kB. */
const mostTemplateUnits = 1 << 18;
/**
 * The interpreter may take so many steps, which is one or two seconds, and so many more for each code unit of input.
 */
const freeSteps = 2_000_000;
const stepsPerInput = 8;
/** How many steps one iteration of a loop counts: before the loop, the interpreter makes a dozen objects for each. */
const stepsPerIteration = 16;
/** All steps together may produce so many code units, and so many more for each code unit of input. */
const freeUnits = 1 << 25;
const unitsPerInput = 256;
const longestRange = 100_000;

/**
 * The parts of the interpreter that are used here: the package's own types do not resolve in a project of ES modules.
 */
interface RuntimeValue {
  readonly value: unknown;
}
interface TemplateNode {
  readonly type: string;
  readonly iterable?: TemplateNode;
  readonly lhs?: TemplateNode;
}
interface Evaluator {
  run(program: unknown): RuntimeValue;
  /** @param node undefined for an optional part of an expression, such as the end of a slice */
  evaluate(node: TemplateNode | undefined, environment: unknown): RuntimeValue;
}
const OpenInterpreter = Interpreter as unknown as new (environment: unknown) => Evaluator;

export class ChatTemplate {
  readonly source: string;
  readonly #program: unknown;

  /** @throws TesseraeError ERR_CHAT_TEMPLATE when the template is too long or not valid Jinja */
  constructor(source: string) {
    if (source.length > mostTemplateUnits) {
      throw failed(`is ${source.length} characters long, more than ${mostTemplateUnits}`);
    }
    this.source = source;
    this.#program = guarded(() => new Template(source).parsed);
  }

  /**
   * @param inputUnits the code units of all strings in `variables`, from which the limits are computed
   * @throws TesseraeError ERR_CHAT_TEMPLATE when the template refuses the variables, fails, or exceeds the limits
   */
  render(variables: Readonly<Record<string, unknown>>, inputUnits: number): string {
    const rendered = guarded(() => {
      const environment = new Environment();
      for (const [name, value] of Object.entries({ ...globals, ...variables })) environment.set(name, value);
      return new BoundedInterpreter(environment, inputUnits).run(this.#program).value;
    });
    if (typeof rendered === 'string') return rendered;
    throw failed('renders no text');
  }
}

class BoundedInterpreter extends OpenInterpreter {
  #steps = 0;
  #units = 0;
  readonly #mostSteps: number;
  readonly #mostUnits: number;
  /** The expressions that loops iterate over. */
  readonly #iterated = new WeakSet<object>();

  constructor(environment: unknown, inputUnits: number) {
    super(environment);
    this.#mostSteps = freeSteps + stepsPerInput * inputUnits;
    this.#mostUnits = freeUnits + unitsPerInput * inputUnits;
  }

  /** The interpreter calls this for every node of the template that it evaluates. */
  override evaluate(node: TemplateNode | undefined, environment: unknown): RuntimeValue {
    if (node === undefined) return super.evaluate(node, environment);
    if (node.type === 'For' && node.iterable !== undefined) {
      this.#iterated.add(
        node.iterable.type === 'SelectExpression' ? (node.iterable.lhs ?? node.iterable) : node.iterable,
      );
    }
    this.#steps += 1;
    const result = super.evaluate(node, environment);
    const { value } = result;
    const size = Array.isArray(value) ? value.length : value instanceof Map ? value.size : 0;
    if (this.#iterated.has(node)) {
      this.#steps += stepsPerIteration * size;
    } else if (node.type !== 'Identifier') {
      // An identifier returns an existing value. Any other node may have made a new one.
      this.#steps += size;
      if (typeof value === 'string') this.#units += value.length;
    }
    if (this.#steps > this.#mostSteps) throw failed(`takes more than ${this.#mostSteps} steps`);
    if (this.#units > this.#mostUnits) throw failed(`produces more than ${this.#mostUnits} characters`);
    return result;
  }
}

const globals = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  range,
  raise_exception: (message: unknown) => {
    throw failed(`refuses the messages: ${String(message)}`);
  },
  strftime_now: (format: unknown) => formatTime(new Date(), String(format)),
};

/** Python's range, with a limit on its length. */
function range(first: unknown, second?: unknown, third: unknown = 1): number[] {
  const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
  const [start, stop] = isNumber(second) ? [first, second] : [0, first];
  if (!isNumber(start) || !isNumber(stop) || !isNumber(third) || third === 0)
    throw failed('calls range() with no numbers');
  const length = Math.max(Math.ceil((stop - start) / third), 0);
  if (length > longestRange) throw failed(`asks for a range of ${length}, more than ${longestRange}`);
  return Array.from({ length }, (_, i) => start + i * third);
}

/** Formats a time with the codes of strftime that templates use, in English. */
function formatTime(time: Date, format: string): string {
  const english = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat('en-US', options).format(time);
  const padded = (value: number) => String(value).padStart(2, '0');
  const codes: Readonly<Record<string, () => string>> = {
    Y: () => String(time.getFullYear()),
    y: () => padded(time.getFullYear() % 100),
    m: () => padded(time.getMonth() + 1),
    d: () => padded(time.getDate()),
    H: () => padded(time.getHours()),
    I: () => padded(time.getHours() % 12 || 12),
    M: () => padded(time.getMinutes()),
    S: () => padded(time.getSeconds()),
    p: () => (time.getHours() < 12 ? 'AM' : 'PM'),
    b: () => english({ month: 'short' }),
    B: () => english({ month: 'long' }),
    a: () => english({ weekday: 'short' }),
    A: () => english({ weekday: 'long' }),
    '%': () => '%',
  };
  return format.replace(/%([A-Za-z%])/g, (code, letter: string) => codes[letter]?.() ?? code);
}

/** Turns the interpreter's errors, stack overflows included, into typed errors. */
function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof TesseraeError) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new TesseraeError('ERR_CHAT_TEMPLATE', `the chat template fails: ${message}`, { cause });
  }
}

function failed(problem: string): TesseraeError {
  return new TesseraeError('ERR_CHAT_TEMPLATE', `the chat template ${problem}`);
}
