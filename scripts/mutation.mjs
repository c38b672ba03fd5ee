// `pnpm test:mutation [ROOM…]`: StrykerJS puts small mistakes into the sources of a room, one at a time, and runs the room's
// tests for each. Prints the score of each room and what no test noticed; fails where a score is below 90 %. Part of
// `pnpm test:nightly`. Mutants that change nothing that can be observed are listed in test/mutation.md.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

/** For each room its sources and its tests. */
const rooms = {
  base: { mutate: ['src/base/*.ts'], tests: ['test/base/*.test.ts', 'test/strangers/errors.test.ts'] },
  tensor: { mutate: ['src/tensor/**/*.ts'], tests: ['test/tensor/**/*.test.ts'] },
  program: { mutate: ['src/program/*.ts'], tests: ['test/program/*.test.ts', 'test/engine/repeated-calls.test.ts'] },
  sampling: { mutate: ['src/sampling/*.ts'], tests: ['test/sampling/*.test.ts', 'test/generation/request.test.ts'] },
  constraint: {
    mutate: ['src/constraint/**/*.ts'],
    tests: ['test/constraint/*.test.ts', 'test/strangers/json-schemas.test.ts', 'test/strangers/formats.test.ts'],
  },
  stops: { mutate: ['src/generation/stop-matcher.ts'], tests: ['test/generation/stop-matcher.test.ts'] },
  generation: {
    mutate: ['src/generation/**/*.ts'],
    tests: ['test/generation/**/*.test.ts', 'test/strangers/*.test.ts'],
  },
  tokenizer: { mutate: ['src/tokenizer/**/*.ts'], tests: ['test/tokenizer/**/*.test.ts'] },
  scheduling: { mutate: ['src/serving/scheduling/*.ts'], tests: ['test/serving/scheduling/*.test.ts'] },
  serving: { mutate: ['src/serving/**/*.ts'], tests: ['test/serving/**/*.test.ts'] },
};
const leastScore = 90;

/** Folders that no test of these rooms reads. */
const ignored = [
  'bench/peers',
  'build-native*',
  'build/native',
  'build/*.log',
  'docs',
  'examples',
  'prebuilds',
  '.ci',
  'reports',
];

function scoreOf(name) {
  const room = rooms[name];
  if (room === undefined) throw new Error(`there is no room ${name}, but ${Object.keys(rooms).join(', ')}`);
  const folder = `build/mutation/${name}`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const config = {
    testRunner: 'vitest',
    testRunnerNodeArgs: ['--expose-gc'],
    plugins: ['@stryker-mutator/vitest-runner'],
    vitest: { configFile: 'vitest.mutation.config.ts', related: false },
    coverageAnalysis: 'perTest',
    mutate: room.mutate,
    ignorePatterns: ignored,
    // Messages of errors are public by their code alone.
    mutator: { excludedMutations: ['StringLiteral'] },
    concurrency: Number(process.env.TESSERAE_MUTATION_CONCURRENCY ?? 1),
    // Beside what the tests take: a mutant that never ends counts as noticed.
    timeoutMS: 6000,
    reporters: ['json', 'clear-text'],
    clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
    jsonReporter: { fileName: `${folder}/report.json` },
    tempDirName: `${folder}/sandbox`,
    allowEmpty: false,
  };
  writeFileSync(`${folder}/stryker.json`, JSON.stringify(config));
  const env = { ...process.env, TESSERAE_MUTATION_TESTS: room.tests.join(' ') };
  const { status } = spawnSync('node_modules/.bin/stryker', ['run', `${folder}/stryker.json`], {
    env,
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`the mutants of ${name} could not be tested`);
  const { files } = JSON.parse(readFileSync(`${folder}/report.json`, 'utf8'));
  const outcomes = Object.values(files).flatMap(({ mutants }) => mutants.map((mutant) => mutant.status));
  const count = (...kinds) => outcomes.filter((outcome) => kinds.includes(outcome)).length;
  const killed = count('Killed', 'Timeout');
  const valid = killed + count('Survived', 'NoCoverage');
  return { name, killed, valid, score: (100 * killed) / valid };
}

const names = process.argv.slice(2);
const scores = (names.length > 0 ? names : Object.keys(rooms)).map(scoreOf);
for (const { name, killed, valid, score } of scores) {
  console.log(`${name}: ${killed} of ${valid} mutants killed, ${score.toFixed(1)} %`);
}
process.exitCode = scores.every(({ score }) => score >= leastScore) ? 0 : 1;
