// What the command writes: results on stdout, everything else on stderr. Also what a progress line and colours need to
// know of the terminal. Every command writes through this and nothing else.
import { formatBytes } from '../../bench/index.js';

/** A line on stderr that is overwritten, on a terminal; nothing elsewhere. */
export class Output {
  readonly #stdout: NodeJS.WriteStream;
  readonly #stderr: NodeJS.WriteStream;
  #progress = '';

  constructor(stdout: NodeJS.WriteStream = process.stdout, stderr: NodeJS.WriteStream = process.stderr) {
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  get isTerminal(): boolean {
    return this.#stdout.isTTY === true;
  }

  /** Columns of the terminal; 80 where there is none. */
  get columns(): number {
    return this.#stdout.columns || 80;
  }

  get hasColors(): boolean {
    return this.isTerminal && this.#stdout.hasColors();
  }

  /** Results. Resolves when they are handed on, so that a slow reader holds back a fast writer. */
  async write(text: string): Promise<void> {
    this.clearProgress();
    if (!this.#stdout.write(text) && !this.#stdout.destroyed) {
      await new Promise<void>((resolve) => {
        const done = () => {
          this.#stdout.off('drain', done).off('close', done).off('error', done);
          resolve();
        };
        this.#stdout.on('drain', done).on('close', done).on('error', done);
      });
    }
  }

  /** The one document of `--json`. */
  writeJson(document: unknown): Promise<void> {
    return this.write(`${JSON.stringify(document)}\n`);
  }

  /** A line for the reader of a log. */
  log(text: string): void {
    this.clearProgress();
    this.#stderr.write(`${text}\n`);
  }

  progress(text: string): void {
    if (this.#stderr.isTTY !== true || text === this.#progress) return;
    this.#progress = text;
    const columns = this.#stderr.columns || 80;
    this.#stderr.write(`\r\x1b[2K${text.slice(0, columns - 1)}`);
  }

  clearProgress(): void {
    if (this.#progress === '') return;
    this.#progress = '';
    this.#stderr.write('\r\x1b[2K');
  }

  /** For `onProgress` of a model's loading. */
  readonly loading = ({ loadedBytes, totalBytes }: { loadedBytes: number; totalBytes: number }): void => {
    this.progress(`loading the model: ${formatBytes(loadedBytes)} of ${formatBytes(totalBytes)}`);
  };
}
