// What the command writes: results on stdout; logs and a progress line on stderr. Also the properties of the terminal
// that progress and colours depend on. Commands write through this alone.
import { formatBytes } from '../base/number-text.js';

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

  /** Columns of the terminal, 80 without one. */
  get columns(): number {
    return this.#stdout.columns || 80;
  }

  get hasColors(): boolean {
    return this.isTerminal && this.#stdout.hasColors();
  }

  /** Writes a result. Resolves when stdout takes more, so that a slow reader slows down the command. */
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

  /** Writes the one document of `--json`. */
  writeJson(document: unknown): Promise<void> {
    return this.write(`${JSON.stringify(document)}\n`);
  }

  /** Writes a line to stderr. */
  log(text: string): void {
    this.clearProgress();
    this.#stderr.write(`${text}\n`);
  }

  /** Shows a line on stderr that the next one replaces; on a terminal only. */
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

  /** Shows the progress of loading a model: for `onProgress` of `engine.loadModel`. */
  readonly loading = ({ loadedBytes, totalBytes }: { loadedBytes: number; totalBytes: number }): void => {
    this.progress(`loading the model: ${formatBytes(loadedBytes)} of ${formatBytes(totalBytes)}`);
  };
}
