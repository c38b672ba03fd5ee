// Jinja templates of chat formats, run within limits: a template comes with a model's file, from a stranger. Each step
// of the interpreter is counted, and so is what it produces; nothing else of it is changed. Called by chat.ts.
import { Environment, Interpreter, Template } from '@huggingface/jinja';
import { TesseraeError } from '../../base/errors.js';

/** The longest template. Those that people write are under 50 kB. */
const mostTemplateUnits = 1 << 18;
/** Steps of the interpreter, besides those for each code unit of the input. They take under a second or two. */
const freeSteps = 2_000_000;
const stepsPerInput = 8;
/** What a turn of a loop takes, in steps: the interpreter makes a dozen objects for it, before the loop begins. */
const stepsPerTurn = 16;
/** Code units that all steps together may produce, for each one of the input, and besides. */
const unitsPerInput = 256;
const freeUnits = 1 << 25;
const longestRange = 100_000;

/** What is used of the interpreter: its own types do not resolve in a project of ES modules. */
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
  /** @param node undefined for a part that an expression may lack, such as an end of a slice */
  evaluate(node: TemplateNode | undefined, environment: unknown): RuntimeValue;
}
const OpenInterpreter = Interpreter as unknown as new (environment: unknown) => Evaluator;

export class ChatTemplate {
  readonly source: string;
  readonly #program: unknown;

  /** @throws TesseraeError ERR_CHAT_TEMPLATE when the template is too long or no valid Jinja */
  constructor(source: string) {
    if (source.length > mostTemplateUnits) {
      throw failed(`is ${source.length} characters long, more than ${mostTemplateUnits}`);
    }
    this.source = source;
    this.#program = guarded(() => new Template(source).parsed);
  }

  /**
   * @param inputUnits the length of all strings in `variables`, by which the limits go
   * @throws TesseraeError ERR_CHAT_TEMPLATE when the template refuses the variables, fails, or exceeds the limits
   */
  render(variables: Readonly<Record<string, unknown>>, inputUnits: number): string {
    const rendered = guarded(() => {
      const environment = new Environment();
      for (const [name, value] of Object.entries({ ...globals, ...variables })) environment.set(name, value);
      return new BoundedInterpreter(environment, inputUnits).run(this.#program).value;
    });
    if (typeof rendered === 'string') return rendered;
    throw failed('gives no text');
  }
}

class BoundedInterpreter extends OpenInterpreter {
  #steps = 0;
  #units = 0;
  readonly #mostSteps: number;
  readonly #mostUnits: number;
  /** The expressions over whose values loops run. */
  readonly #looped = new WeakSet<object>();

  constructor(environment: unknown, inputUnits: number) {
    super(environment);
    this.#mostSteps = freeSteps + stepsPerInput * inputUnits;
    this.#mostUnits = freeUnits + unitsPerInput * inputUnits;
  }

  /** The interpreter calls this for every node of the template that it comes to. */
  override evaluate(node: TemplateNode | undefined, environment: unknown): RuntimeValue {
    if (node === undefined) return super.evaluate(node, environment);
    if (node.type === 'For' && node.iterable !== undefined) {
      this.#looped.add(
        node.iterable.type === 'SelectExpression' ? (node.iterable.lhs ?? node.iterable) : node.iterable,
      );
    }
    this.#steps += 1;
    const result = super.evaluate(node, environment);
    const { value } = result;
    const size = Array.isArray(value) ? value.length : value instanceof Map ? value.size : 0;
    if (this.#looped.has(node)) {
      this.#steps += stepsPerTurn * size;
    } else if (node.type !== 'Identifier') {
      // A name only hands on what is there; all else may have made it.
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

/** Python's range, of a bounded length. */
function range(first: unknown, second?: unknown, third: unknown = 1): number[] {
  const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
  const [start, stop] = isNumber(second) ? [first, second] : [0, first];
  if (!isNumber(start) || !isNumber(stop) || !isNumber(third) || third === 0) throw failed('gives range() no numbers');
  const length = Math.max(Math.ceil((stop - start) / third), 0);
  if (length > longestRange) throw failed(`asks for a range of ${length}, more than ${longestRange}`);
  return Array.from({ length }, (_, i) => start + i * third);
}

/** The codes of strftime that templates use, in English. */
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

/** Errors of the interpreter, stack overflows included, become typed ones. */
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
