// Makes a release: `release.mjs VERSION` sets the version in package.json and src/base/package-files.ts, turns the section
// [Unreleased] of CHANGELOG.md into the version's, commits and tags. `release.mjs --check TAG` fails unless the files agree with
// the tag; the release workflow runs it before it publishes. Pushes nothing.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const heading = '## [Unreleased]\n';
const files = ['package.json', 'src/base/package-files.ts', 'CHANGELOG.md'];
const [first, second] = process.argv.slice(2);

if (first === '--check' && second !== undefined) check(second.replace(/^v/, ''));
else if (first !== undefined && /^\d+\.\d+\.\d+(-[0-9a-z.]+)?$/.test(first)) release(first);
else fail('usage: release.mjs VERSION | --check TAG');

function release(version) {
  if (git('status', '--porcelain') !== '') fail('commit your changes first');
  const old = JSON.parse(read('package.json')).version;
  if (old === version) fail(`the version is ${version} already`);
  const changes = read('CHANGELOG.md').split(heading)[1]?.split('\n## ')[0]?.trim();
  if (!changes) fail(`CHANGELOG.md has nothing under ${heading.trim()}`);
  replace('package.json', `"version": "${old}"`, `"version": "${version}"`);
  replace('src/base/package-files.ts', `packageVersion = '${old}'`, `packageVersion = '${version}'`);
  const today = new Date().toISOString().slice(0, 10);
  replace('CHANGELOG.md', heading, `${heading}\n## [${version}] - ${today}\n`);
  check(version);
  git('commit', '--quiet', '--message', `Version ${version}`, '--', ...files);
  git('tag', '--annotate', `v${version}`, '--message', changes);
  process.stdout.write(`tagged v${version}; now run: git push --follow-tags\n`);
}

function check(version) {
  const { version: packageVersion, repository } = JSON.parse(read('package.json'));
  // npm compares it with where the package was built.
  if (repository === undefined) fail('package.json names no repository: add "repository", "bugs" and "homepage" first');
  const found = {
    'package.json': packageVersion,
    'src/base/package-files.ts': /packageVersion = '([^']+)'/.exec(read('src/base/package-files.ts'))?.[1],
    'CHANGELOG.md': /^## \[(\d[^\]]*)\]/m.exec(read('CHANGELOG.md'))?.[1],
  };
  for (const [file, value] of Object.entries(found)) {
    if (value !== version) fail(`${file} has version ${value ?? 'none'}, expected ${version}`);
  }
}

function replace(file, from, to) {
  const parts = read(file).split(from);
  if (parts.length !== 2) fail(`${file} has ${parts.length - 1} times ${from.trim()}, expected once`);
  writeFileSync(join(root, file), parts.join(to));
}

function read(file) {
  return readFileSync(join(root, file), 'utf8');
}

function git(...args) {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
}

function fail(problem) {
  process.stderr.write(`release: ${problem}\n`);
  process.exit(1);
}
