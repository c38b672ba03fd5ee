// A real PostgreSQL for the tests of job queues: Debian's postgresql on a free loopback port, with its cluster in a temporary
// folder. PostgreSQL refuses to run as root: there it runs as Debian's user `postgres`.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chownSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { temporaryFolder } from '../temporary-folder.js';
import { freePort } from './redis-server.js';

export class PostgresServer {
  readonly port: number;
  readonly #folder = temporaryFolder();
  readonly #bin = binaries();
  readonly #user = systemUser();
  #child: ChildProcess | undefined;

  private constructor(port: number) {
    this.port = port;
  }

  /** @throws where PostgreSQL is not installed: `apt-get install postgresql` */
  static async start(): Promise<PostgresServer> {
    const server = new PostgresServer(await freePort());
    await server.#run();
    return server;
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child !== undefined && child.exitCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      // Without waiting for its clients.
      child.kill('SIGINT');
      await ended;
    }
    this.#folder.remove();
  }

  async #run(): Promise<void> {
    const folder = this.#folder.file('');
    const cluster = join(folder, 'cluster');
    if (this.#user !== undefined) chownSync(folder, this.#user.uid, this.#user.gid);
    const options = { ...this.#user, cwd: folder, stdio: 'ignore' } as const;
    const made = ['--pgdata', cluster, '--username', 'postgres', '--auth', 'trust', '--no-sync', '--no-instructions'];
    execFileSync(join(this.#bin, 'initdb'), [...made, '--locale', 'C', '--encoding', 'UTF8'], options);
    const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off', 'max_connections=60'];
    const args = ['-D', cluster, '-p', String(this.port), ...settings.flatMap((setting) => ['-c', setting])];
    const child = spawn(join(this.#bin, 'postgres'), args, options);
    this.#child = child;
    const probe = ['--host', '127.0.0.1', '--port', String(this.port), '--quiet'];
    while (spawnSync(join(this.#bin, 'pg_isready'), probe).status !== 0) {
      if (child.exitCode !== null) throw new Error(`postgres has ended with ${child.exitCode}`);
      await sleep(50);
    }
  }
}

/** The folder of the newest version's programs. */
function binaries(): string {
  const root = '/usr/lib/postgresql';
  const versions = readdirSync(root).sort((a, b) => Number(b) - Number(a));
  return join(root, versions[0] as string, 'bin');
}

function systemUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}
