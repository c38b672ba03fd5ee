// Every program of README.md and docs runs as it stands, with nothing on stderr. Those that need a service are run by the tests
// named below.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { modelFiles, small } from '../support/models/model-files.js';
import { documentPrograms, ProgramFolder } from '../support/running/document-programs.js';

const root = resolve(import.meta.dirname, '../..');
/** Packages of programs that need a service, and the test that runs those. */
const services: Readonly<Record<string, string>> = {
  'tesserae/bullmq': 'test/bullmq/documents.test.ts',
  'pg-boss': 'test/pg-boss/pg-boss.test.ts',
  '@temporalio/activity': 'test/jobs/temporal.test.ts',
};

const write = modelFiles();
const folder = new ProgramFolder();
afterAll(() => folder.remove());

/** A model that has all that fragments use: a chat template, heads of 32, and 128 dimensions and more. */
async function modelForFragments(): Promise<string> {
  const template = '{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}';
  return write({ ...small, dim: 256, heads: 8, kvHeads: 2 }, ({ metadata }) => {
    metadata.set('tokenizer.chat_template', { type: 'string', value: template });
  });
}

const prelude = (model: string) => `import { Engine } from 'tesserae';
const engine = await Engine.create({ memoryBudget: 2 ** 30 });
const model = await engine.loadModel(${JSON.stringify(model)});
const prompts = ['The sea', 'The ship'];
const source = prompts;
`;

const programs = documentPrograms();
const serviceOf = ({ text }: { text: string }) => Object.keys(services).find((name) => text.includes(`'${name}'`));

describe('a program of a document', () => {
  const own = programs.filter((program) => serviceOf(program) === undefined);
  test.each(own.map((program) => [`${program.document}, ${program.heading}`, program] as const))(
    '%s',
    { timeout: 70_000 },
    async (_name, program) => {
      const isFragment = !program.packages.includes('tesserae');
      const text = isFragment
        ? `${prelude(await modelForFragments())}{\n${program.text}}\nawait engine.close();\n`
        : program.text;
      const { status, stderr } = folder.run({ text, packages: ['tesserae', ...program.packages] });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    },
  );
});

test('the programs that need a service are run by another test', () => {
  for (const program of programs) {
    const service = serviceOf(program);
    if (service === undefined) continue;
    expect(readFileSync(join(root, services[service] as string), 'utf8')).toContain(program.document);
  }
});
