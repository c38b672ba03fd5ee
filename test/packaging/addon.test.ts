// The addon as a file: which C library it needs, what it exports, and that it loads with musl. Its contents are tested
// elsewhere.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readElf } from '../support/packaging/elf.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const root = resolve(import.meta.dirname, '../..');
const addon = join(root, 'build/Release/tesserae.node');
const newestGlibc = [2, 28];
const folder = temporaryFolder();
afterAll(() => folder.remove());

describe('the addon', () => {
  const { needed, undefined: symbols, exported } = readElf(addon);

  test('needs no library but the C library', () => {
    expect(needed.toSorted()).toEqual(['libc.so.6', 'libm.so.6']);
  });

  test('needs no version of glibc after 2.28, which is the oldest that Node 20 runs with', () => {
    const versions = symbols.flatMap(({ name, version }) => (version === undefined ? [] : [{ name, version }]));
    expect(versions.length).toBeGreaterThan(10);
    const newer = versions.filter(({ version }) => {
      const parts = /^GLIBC_(\d+)\.(\d+)(\.\d+)?$/.exec(version);
      if (parts === null) return true;
      const [major, minor] = [Number(parts[1]), Number(parts[2])];
      return major > (newestGlibc[0] as number) || minor > (newestGlibc[1] as number);
    });
    expect(newer).toEqual([]);
  });

  test('needs nothing else but Node-API and what a loader may leave out', () => {
    const optional = /^(_ITM_(de)?registerTMCloneTable|__gmon_start__|__pthread_key_create|pthread_once)$/;
    const others = symbols.filter(({ name, version }) => version === undefined && !name.startsWith('napi_'));
    expect(others.filter(({ name }) => !optional.test(name)).map(({ name }) => name)).toEqual(['__tls_get_addr']);
  });

  // Electron's main process refuses memory outside of its heap's cage. Without these, no buffer of the addon's own can reach it.
  test('makes no buffers from memory of its own', () => {
    const names = symbols.map(({ name }) => name);
    expect(names).toContain('napi_get_typedarray_info');
    expect(names.filter((name) => /^(napi|node_api)_create_.*(external|buffer)/.test(name))).toEqual([]);
  });

  test('exports its entry alone', () => {
    expect(exported.toSorted()).toEqual(['napi_register_module_v1', 'node_api_module_get_api_version_v1']);
  });

  test('has no path of this machine in it', () => {
    expect(readFileSync(addon).includes(root)).toBe(false);
  });

  test('has every symbol of libc_symbols.txt once, in a version that is not too new', () => {
    const lines = readFileSync(join(root, 'native/abi/libc_symbols.txt'), 'utf8').split('\n');
    const entries = lines.filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.split(' '));
    for (const entry of entries) expect(entry).toHaveLength(3);
    const names = entries.map(([name]) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, version } of symbols) if (version !== undefined) expect(names).toContain(name);
  });

  test.skipIf(process.arch !== 'x64')('loads with musl and throws there', () => {
    const source = readFileSync(join(root, 'test/support/packaging/musl_host.c'), 'utf8');
    const stubs = symbols.map(({ name }) => name).filter((name) => name.startsWith('napi_'));
    const missing = stubs.filter((name) => !source.includes(`int ${name}(`));
    writeFileSync(folder.file('stubs.h'), missing.map((name) => `STUB(${name})\n`).join(''));
    const host = folder.file('host');
    const program = join(root, 'test/support/packaging/musl_host.c');
    execFileSync('musl-gcc', ['-rdynamic', '-I', dirname(host), program, '-o', host]);
    expect(readElf(host).needed).toEqual(['libc.so']);
    const { stdout, stderr, status } = spawnSync(host, [addon], { encoding: 'utf8' });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toContain('layout');
    expect(lines).toContain('work');
    expect(lines.at(-1)).toBe('threw: the argument must be a typed array');
  });
});
