// Positions of figures on an axis, and the ticks of the axis. Pure functions; called by the plots.

export interface Tick {
  readonly value: number;
  readonly label: string;
}

export interface Scale {
  /** The position of a value, in the units of the drawing. */
  at(value: number): number;
  readonly ticks: readonly Tick[];
}

/** The values at the two ends of an axis, and their positions. */
export interface Axis {
  readonly from: number;
  readonly to: number;
  readonly start: number;
  readonly end: number;
}

/** Ticks at round numbers, `count` of them or a few more or less. */
export function linearScale({ from, to, start, end }: Axis, count: number): Scale {
  const step = roundStep((to - from) / count);
  const ticks: Tick[] = [];
  for (let i = Math.ceil(from / step - 1e-9); i * step <= to + step * 1e-9; i++) ticks.push(tick(i * step));
  return { at: (value) => start + ((value - from) / (to - from)) * (end - start), ticks };
}

/** The least end of a linear axis that is a round number and not below `value`. */
export function roundEnd(value: number, count: number): number {
  const step = roundStep(value / count);
  return Math.ceil(value / step - 1e-9) * step;
}

function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= step * (1 - 1e-9)) as number);
}

/** Ticks at powers of two: one of every `every`. */
export function log2Scale({ from, to, start, end }: Axis, every = 1): Scale {
  const ticks: Tick[] = [];
  const first = Math.ceil(Math.log2(from) - 1e-9);
  for (let power = first; 2 ** power <= to * (1 + 1e-9); power += every) ticks.push(tick(2 ** power));
  return { at: logPosition({ from, to, start, end }), ticks };
}

/** Ticks at 1, 2 and 5 times each power of ten, or at the powers alone if that would be more than `most`. */
export function log10Scale({ from, to, start, end }: Axis, most: number): Scale {
  const choices = [[1, 2, 5], [1]].map((factors) => decadeTicks(from, to, factors));
  const ticks = choices.find((choice) => choice.length <= most) ?? (choices[1] as Tick[]);
  return { at: logPosition({ from, to, start, end }), ticks };
}

function decadeTicks(from: number, to: number, factors: readonly number[]): Tick[] {
  const ticks: Tick[] = [];
  for (let power = Math.floor(Math.log10(from)); 10 ** power <= to * (1 + 1e-9); power++) {
    for (const factor of factors) {
      const value = power < 0 ? factor / 10 ** -power : factor * 10 ** power;
      if (value >= from * (1 - 1e-9) && value <= to * (1 + 1e-9)) ticks.push(tick(value));
    }
  }
  return ticks;
}

function logPosition({ from, to, start, end }: Axis): (value: number) => number {
  return (value) => start + (Math.log(value / from) / Math.log(to / from)) * (end - start);
}

function tick(value: number): Tick {
  const rounded = Number(value.toPrecision(12));
  return { value: rounded, label: rounded >= 10_000 ? rounded.toLocaleString('en-US') : String(rounded) };
}
