// Writes metrics in Prometheus' text format, version 0.0.4: help, type and samples of one metric after the other. Used by
// metrics-text.ts.
import type { Histogram } from './histogram.js';

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

export class Exposition {
  readonly #lines: string[] = [];

  /** A number that only grows. Its name ends with `_total`. */
  counter(name: string, help: string, samples: readonly Sample[]): void {
    this.#metric(name, help, 'counter', samples);
  }

  gauge(name: string, help: string, samples: readonly Sample[]): void {
    this.#metric(name, help, 'gauge', samples);
  }

  histogram(name: string, help: string, series: readonly { labels?: Labels; values: Histogram }[]): void {
    this.#head(name, help, 'histogram');
    for (const { labels = {}, values } of series) {
      const bounds = [...values.bounds.map(numberText), '+Inf'];
      for (const [index, count] of values.cumulative().entries()) {
        this.#sample(`${name}_bucket`, { ...labels, le: bounds[index] as string }, count);
      }
      this.#sample(`${name}_sum`, labels, values.sum);
      this.#sample(`${name}_count`, labels, values.count);
    }
  }

  toString(): string {
    return this.#lines.join('');
  }

  #metric(name: string, help: string, type: string, samples: readonly Sample[]): void {
    this.#head(name, help, type);
    for (const { labels = {}, value } of samples) this.#sample(name, labels, value);
  }

  #head(name: string, help: string, type: string): void {
    this.#lines.push(`# HELP ${name} ${help.replace(/[\\\n]/g, escaped)}\n`, `# TYPE ${name} ${type}\n`);
  }

  #sample(name: string, labels: Labels, value: number): void {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${text.replace(/[\\\n"]/g, escaped)}"`);
    this.#lines.push(`${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${numberText(value)}\n`);
  }
}

function escaped(character: string): string {
  return character === '\n' ? '\\n' : `\\${character}`;
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  if (Number.isNaN(value)) return 'NaN';
  return value > 0 ? '+Inf' : '-Inf';
}
