// A real Redis for the tests of job queues: Debian's redis-server on a free loopback port, with its append-only file in a
// temporary folder.
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { temporaryFolder } from '../temporary-folder.js';

export class RedisServer {
  readonly port: number;
  readonly #folder = temporaryFolder();
  #child: ChildProcess | undefined;

  private constructor(port: number) {
    this.port = port;
  }

  /** @throws where redis-server is not installed: `apt-get install redis-server` */
  static async start(): Promise<RedisServer> {
    const server = new RedisServer(await freePort());
    await server.#run();
    return server;
  }

  /** The options of BullMQ's and ioredis's connections. */
  get connection() {
    return { host: '127.0.0.1', port: this.port, maxRetriesPerRequest: null } as const;
  }

  /** Stops it as a system does, and starts it again with the data of its file. */
  async restart(): Promise<void> {
    await this.#end();
    await this.#run();
  }

  async stop(): Promise<void> {
    await this.#end();
    this.#folder.remove();
  }

  async #run(): Promise<void> {
    const settings = { port: this.port, bind: '127.0.0.1', dir: this.#folder.file(''), appendonly: 'yes', save: '' };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const child = spawn('redis-server', args, { stdio: 'ignore' });
    this.#child = child;
    await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    const client = new Redis({ ...this.connection, retryStrategy: () => 20 });
    client.on('error', () => {});
    for (;;) {
      const answer = await client.ping().catch(() => undefined);
      if (answer === 'PONG') break;
      if (child.exitCode !== null) throw new Error(`redis-server has ended with ${child.exitCode}`);
      await sleep(20);
    }
    client.disconnect();
  }

  async #end(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }
}

/** A loopback port that nobody listens to. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
