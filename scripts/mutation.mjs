// `pnpm test:mutation ROOM|FILE…`: StrykerJS puts small mistakes into the sources of a room, or into one file of it, one at a
// time, and runs the room's tests for each. Prints the score of each file and what no test noticed; fails where one is below
// 90 %. Without a name, as in `pnpm test:nightly`: the files whose turn it is today. test/mutation.md has the results.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

/** Files that tests of their own run as a whole: with those of their rooms, each mutant would take many times as long. */
const alone = {
  'src/base/background-worker.ts': 'test/base/background-worker.test.ts',
  'src/base/errors.ts': 'test/base/errors.test.ts',
  'src/base/internal.ts': 'test/base/errors.test.ts',
  'src/base/memory/shared-memory.ts': 'test/base/memory/shared-memory.test.ts',
  'src/base/package-files.ts': 'test/base/package-files.test.ts',
  'src/base/regular-file.ts': 'test/base/regular-file.test.ts',
  'src/base/text-turns.ts': 'test/base/text-turns.test.ts',
  'src/base/time-slice.ts': 'test/base/time-slice.test.ts',
  'src/constraint/automaton.ts': 'test/constraint/terms.test.ts',
  'src/constraint/compile/characters.ts': 'test/constraint/characters.test.ts',
  'src/constraint/compile/regex.ts': 'test/constraint/regex.test.ts',
  'src/constraint/compile/schema-scalars.ts': 'test/constraint/schema-scalars.test.ts',
  'src/constraint/compile/tags.ts': 'test/constraint/tags.test.ts',
  'src/constraint/compiled-terms.ts': 'test/constraint/terms.test.ts',
  'src/constraint/constraint-compiler.ts': 'test/constraint/constraint-compiler.test.ts',
  'src/constraint/constraint.ts': 'test/constraint/masks.test.ts',
  'src/constraint/control-bytes.ts': 'test/constraint/token-trie.test.ts',
  'src/constraint/format.ts': 'test/constraint/format.test.ts',
  'src/constraint/term.ts': 'test/constraint/terms.test.ts',
  'src/constraint/token-trie.ts': 'test/constraint/token-trie.test.ts',
  'src/generation/chat/chat-template.ts': 'test/generation/chat/prompts.test.ts',
  'src/generation/chat/chat.ts': 'test/generation/chat/prompts.test.ts',
  'src/generation/generate-options.ts': 'test/generation/generate-options.test.ts',
  'src/generation/generation.ts': 'test/generation/stream.test.ts',
  'src/generation/jinja/builtins/numbers.ts': 'test/generation/jinja/numbers.test.ts',
  'src/generation/jinja/builtins/tests.ts': 'test/generation/jinja/tests.test.ts',
  'src/generation/jinja/builtins/text.ts': 'test/generation/jinja/texts.test.ts',
  'src/generation/jinja/job.ts': 'test/generation/jinja/rendered.test.ts',
  'src/generation/jinja/twins.ts': 'test/generation/jinja/twins.test.ts',
  'src/generation/prompt.ts': 'test/generation/prompt.test.ts',
  'src/generation/request.ts': 'test/generation/request.test.ts',
  'src/generation/stop-matcher.ts': 'test/generation/stop-matcher.test.ts',
  'src/generation/turn-options.ts': 'test/generation/generate-options.test.ts',
  'src/program/block-storage.ts': 'test/program/storages.test.ts',
  'src/program/compiled-program.ts': 'test/program/compiled-program.test.ts',
  'src/program/param-writer.ts': 'test/program/params.test.ts',
  'src/program/plan.ts': 'test/program/plan.test.ts',
  'src/program/profile.ts': 'test/program/trace.test.ts',
  'src/program/program-check.ts': 'test/program/params.test.ts',
  'src/program/program.ts': 'test/program/program-runs.test.ts',
  'src/program/recorder.ts': 'test/program/recorder.test.ts',
  'src/program/runner.ts': 'test/program/runner.test.ts',
  'src/program/shared-arena.ts': 'test/program/storages.test.ts',
  'src/program/temporary-storage.ts': 'test/program/storages.test.ts',
  'src/sampling/logprobs.ts': 'test/sampling/logprobs.test.ts',
  'src/sampling/sampling-state.ts': 'test/sampling/sampling-state.test.ts',
  'src/sampling/token-window.ts': 'test/sampling/sampling-state.test.ts',
  'src/serving/decoder-lane.ts': 'test/serving/arranged/served-decoder.test.ts',
  'src/serving/encoder-queue.ts': 'test/serving/encoder-queue.test.ts',
  'src/serving/queue-room.ts': 'test/serving/queue-room.test.ts',
  'src/serving/scheduling/prefix-tree.ts': 'test/serving/scheduling/prefix-tree.test.ts',
  'src/serving/scheduling/scheduled-request.ts': 'test/serving/scheduling/scheduled-request.test.ts',
  'src/serving/scheduling/shared-prefixes.ts': 'test/serving/scheduling/shared-prefixes.test.ts',
  'src/serving/scheduling/step-planner.ts': 'test/serving/scheduling/step-planner.test.ts',
  'src/serving/scheduling/step-rate.ts': 'test/serving/scheduling/step-rate.test.ts',
  'src/serving/scheduling/waiting-queue.ts': 'test/serving/scheduling/waiting-queue.test.ts',
  'src/serving/served-decoder.ts': 'test/serving/arranged/served-decoder.test.ts',
  'src/serving/serving-options.ts': 'test/serving/serving-options.test.ts',
  'src/serving/steps/embedding-client.ts': 'test/serving/steps/clients.test.ts',
  'src/serving/steps/generation-client.ts': 'test/serving/steps/clients.test.ts',
  'src/serving/steps/pooled-pages.ts': 'test/serving/steps/pooled-pages.test.ts',
  'src/serving/steps/starvation.ts': 'test/serving/steps/starvation.test.ts',
  'src/serving/steps/step-runner.ts': 'test/serving/steps/step-runner.test.ts',
  'src/serving/steps/turns.ts': 'test/serving/steps/turns.test.ts',
  'src/tensor/elements/dtype.ts': 'test/tensor/elements/elements.test.ts',
  'src/tensor/elements/elements.ts': 'test/tensor/elements/elements.test.ts',
  'src/tensor/elements/half.ts': 'test/tensor/elements/half.test.ts',
  'src/tensor/layout/layout.ts': 'test/tensor/layout/layout.test.ts',
  'src/tensor/layout/view-layout.ts': 'test/tensor/layout/view-layout.test.ts',
  'src/tensor/memory/kept-pins.ts': 'test/tensor/memory/kept-pins.test.ts',
  'src/tensor/memory/mapped-file.ts': 'test/tensor/memory/mapped-file.test.ts',
  'src/tensor/tensor-scope.ts': 'test/tensor/tensor-scope.test.ts',
  'src/tensor/workspace.ts': 'test/tensor/workspace.test.ts',
  'src/tokenizer/base-tokenizer.ts': 'test/tokenizer/special-tokens.test.ts',
  'src/tokenizer/bpe/bpe-merger.ts': 'test/tokenizer/mergers.test.ts',
  'src/tokenizer/bpe/byte-alphabet.ts': 'test/tokenizer/bpe/merges.test.ts',
  'src/tokenizer/bpe/byte-level-bpe.ts': 'test/tokenizer/bpe/fixed-texts.test.ts',
  'src/tokenizer/bpe/merge-queue.ts': 'test/tokenizer/bpe/merges.test.ts',
  'src/tokenizer/bpe/merge-table.ts': 'test/tokenizer/bpe/merges.test.ts',
  'src/tokenizer/byte-decoder.ts': 'test/tokenizer/token-streams.test.ts',
  'src/tokenizer/byte-list.ts': 'test/tokenizer/token-streams.test.ts',
  'src/tokenizer/create-tokenizer.ts': 'test/tokenizer/create-tokenizer.test.ts',
  'src/tokenizer/huggingface/huggingface-endings.ts': 'test/tokenizer/huggingface/endings.test.ts',
  'src/tokenizer/huggingface/huggingface-text.ts': 'test/tokenizer/huggingface/text.test.ts',
  'src/tokenizer/huggingface/huggingface-tokens.ts': 'test/tokenizer/huggingface/tokens.test.ts',
  'src/tokenizer/huggingface/huggingface.ts': 'test/tokenizer/huggingface/merges.test.ts',
  'src/tokenizer/huggingface/json-spans.ts': 'test/tokenizer/huggingface/json-spans.test.ts',
  'src/tokenizer/sentencepiece/characters-map.ts': 'test/tokenizer/sentencepiece/characters-map.test.ts',
  'src/tokenizer/sentencepiece/score-merger.ts': 'test/tokenizer/mergers.test.ts',
  'src/tokenizer/sentencepiece/sentencepiece.ts': 'test/tokenizer/sentencepiece/fixed-texts.test.ts',
  'src/tokenizer/sentencepiece/unigram.ts': 'test/tokenizer/sentencepiece/unigram.test.ts',
  'src/tokenizer/text-cleanup.ts': 'test/tokenizer/text-cleanup.test.ts',
  'src/tokenizer/token-buffer.ts': 'test/tokenizer/token-streams.test.ts',
  'src/tokenizer/vocabulary/special-ids.ts': 'test/tokenizer/vocabulary/special-texts.test.ts',
  'src/tokenizer/vocabulary/special-tokens.ts': 'test/tokenizer/vocabulary/token-parts.test.ts',
  'src/tokenizer/vocabulary/token-bytes.ts': 'test/tokenizer/vocabulary/token-parts.test.ts',
  'src/tokenizer/vocabulary/token-prefixes.ts': 'test/tokenizer/vocabulary/prefix-order.test.ts',
  'src/tokenizer/vocabulary/token-table.ts': 'test/tokenizer/vocabulary/token-parts.test.ts',
  'src/tokenizer/vocabulary/vocabulary.ts': 'test/tokenizer/vocabulary/vocabulary.test.ts',
  'src/tokenizer/wordpiece/wordpiece.ts': 'test/tokenizer/wordpiece/characters.test.ts',
  'src/tokenizer/words/character-classes.ts': 'test/tokenizer/words/text-scan.test.ts',
  'src/tokenizer/words/patterns.ts': 'test/tokenizer/words/word-rules.test.ts',
  'src/tokenizer/words/pre-tokenizers.ts': 'test/tokenizer/words/word-rules.test.ts',
  'src/tokenizer/words/text-normalizer.ts': 'test/tokenizer/words/text-scan.test.ts',
  'src/tokenizer/words/text-scan.ts': 'test/tokenizer/words/text-scan.test.ts',
  'src/tokenizer/words/word-cache.ts': 'test/tokenizer/words/text-scan.test.ts',
  'src/tokenizer/words/word-rules.ts': 'test/tokenizer/words/word-rules.test.ts',
  'src/tokenizer/words/word-walker.ts': 'test/tokenizer/words/word-walker.test.ts',
};

/** For each room its sources and its tests. */
const rooms = {
  ...Object.fromEntries(Object.entries(alone).map(([file, test]) => [file, { mutate: [file], tests: [test] }])),
  base: { mutate: ['src/base/**/*.ts'], tests: ['test/base/**/*.test.ts'] },
  tensor: { mutate: ['src/tensor/**/*.ts'], tests: ['test/tensor/**/*.test.ts'] },
  program: { mutate: ['src/program/*.ts'], tests: ['test/program/*.test.ts', 'test/engine/repeated-calls.test.ts'] },
  sampling: {
    mutate: ['src/sampling/*.ts'],
    // Without the tests of the kernel, which take minutes and do not run these sources.
    tests: [
      'test/sampling/penalties.test.ts',
      'test/sampling/random.test.ts',
      'test/sampling/sampling-*.test.ts',
      'test/generation/request.test.ts',
    ],
  },
  constraint: {
    mutate: ['src/constraint/**/*.ts'],
    tests: ['test/constraint/*.test.ts', 'test/strangers/json-schemas.test.ts', 'test/strangers/formats.test.ts'],
  },
  templates: { mutate: ['src/generation/jinja/**/*.ts'], tests: ['test/generation/jinja/*.test.ts'] },
  generation: {
    mutate: ['src/generation/**/*.ts'],
    tests: ['test/generation/**/*.test.ts', 'test/strangers/templates/impersonation.test.ts'],
  },
  tokenizer: { mutate: ['src/tokenizer/**/*.ts'], tests: ['test/tokenizer/**/*.test.ts'] },
  scheduling: { mutate: ['src/serving/scheduling/*.ts'], tests: ['test/serving/scheduling/*.test.ts'] },
  batch: {
    mutate: ['src/serving/batch.ts'],
    tests: ['test/serving/arranged/batch.test.ts', 'test/serving/arranged/each-item.test.ts'],
  },
  'served-encoder': {
    mutate: ['src/serving/served-encoder.ts'],
    tests: ['test/serving/arranged/served-encoder.test.ts', 'test/serving/arranged/served-encoder-memory.test.ts'],
  },
  'step-loop': {
    mutate: ['src/serving/steps/step-loop.ts'],
    tests: ['test/serving/steps/step-loop.test.ts', 'test/serving/steps/step-loop-ends.test.ts'],
  },
  serving: { mutate: ['src/serving/**/*.ts'], tests: ['test/serving/**/*.test.ts'] },
};
const roomNames = Object.keys(rooms).filter((name) => !(name in alone));
const leastScore = 90;

/** Folders that no test of these rooms reads. */
const ignored = [
  'bench/peers',
  'build-native*',
  'build/native',
  'build/mutation',
  'build/*.log',
  'docs',
  'examples',
  'prebuilds',
  '.ci',
  'reports',
];

/** The room of a file: the first whose folder it is in, or that names it. */
const roomOf = (file) =>
  Object.keys(rooms).find((name) => rooms[name].mutate.some((pattern) => file.startsWith(pattern.split('*')[0])));

/** What is to be mutated in each room. */
function tasksOf(names) {
  const tasks = new Map();
  for (const name of names) {
    const room = name in rooms ? name : existsSync(name) ? roomOf(name) : undefined;
    if (room === undefined) throw new Error(`${name} is none of the rooms ${roomNames.join(', ')}, nor a file of one`);
    tasks.set(room, [...(tasks.get(room) ?? []), ...(name === room ? rooms[room].mutate : [name])]);
  }
  return tasks;
}

function scoresOf(name, mutate) {
  const room = rooms[name];
  const folder = `build/mutation/${name.replaceAll('/', '-')}`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const config = {
    testRunner: 'vitest',
    testRunnerNodeArgs: ['--expose-gc'],
    plugins: ['@stryker-mutator/vitest-runner'],
    vitest: { configFile: 'vitest.mutation.config.ts', related: false },
    coverageAnalysis: 'perTest',
    mutate,
    ignorePatterns: ignored,
    // Messages of errors are public by their code alone.
    mutator: { excludedMutations: ['StringLiteral'] },
    concurrency: Number(process.env.TESSERAE_MUTATION_CONCURRENCY ?? 1),
    // Beside what the tests take: a mutant that never ends counts as noticed.
    timeoutMS: 6000,
    dryRunTimeoutMinutes: 30,
    reporters: ['json', 'clear-text', 'progress-append-only'],
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
  return Object.entries(files).map(([file, { mutants }]) => {
    const count = (...kinds) => mutants.filter((mutant) => kinds.includes(mutant.status)).length;
    const killed = count('Killed', 'Timeout');
    const valid = killed + count('Survived', 'NoCoverage');
    return { file, killed, valid, score: valid === 0 ? 100 : (100 * killed) / valid };
  });
}

/** All files are too many for one night: each night takes one of so many shares. */
const nights = 28;

function filesOfToday() {
  const files = Object.values(rooms).flatMap(({ mutate }) => mutate.flatMap(sourcesLike));
  const today = Math.floor(Date.now() / 86_400_000) % nights;
  return [...new Set(files)].sort().filter((_, i) => i % nights === today);
}

function sourcesLike(pattern) {
  if (!pattern.includes('*')) return [pattern];
  const [folder] = pattern.split('/*');
  const files = readdirSync(folder, { recursive: pattern.includes('**'), encoding: 'utf8' });
  return files.filter((file) => file.endsWith('.ts')).map((file) => `${folder}/${file}`);
}

const named = process.argv.slice(2);
const tasks = tasksOf(named.length > 0 ? named : filesOfToday());
const scores = [...tasks].flatMap(([name, mutate]) => scoresOf(name, mutate));
for (const { file, killed, valid, score } of scores) {
  console.log(`${file}: ${killed} of ${valid} mutants killed, ${score.toFixed(1)} %`);
}
process.exitCode = scores.every(({ score }) => score >= leastScore) ? 0 : 1;
