// JSON schemas as people write them: how many are taken, and that no text that one allows is invalid under it, by the
// validator ajv. `pnpm test:schemas` fetches the schemas (scripts/schema-corpus.mjs); without them there is nothing to test.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Ajv, { type ValidateFunction } from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { expect, test } from 'vitest';
import { BackgroundWorker } from '../../src/base/background-worker.js';
import { TesseraeError } from '../../src/base/errors.js';
import { TimeSlice } from '../../src/base/time-slice.js';
import { Automaton } from '../../src/constraint/automaton.js';
import { type CompiledTerms, readTerms } from '../../src/constraint/compiled-terms.js';
import { defaultFormatTimeoutMs } from '../../src/constraint/constraint-compiler.js';
import { Terms } from '../../src/constraint/term.js';
import { randomFrom, randomText } from './schema-texts.js';

const folder = process.env.TESSERAE_SCHEMAS ?? '';
/** Of the schemas of a document with many, so many: those whose names have the lowest digests. */
const perDocument = Number(process.env.TESSERAE_SCHEMAS_PER_DOCUMENT ?? 8);
const textsPerSchema = 2;
const mostCharacters = 4_194_304;
/** Larger schemas are counted, but not compared: ajv takes seconds to compile one. */
const mostComparedCharacters = 200_000;
const worker = new BackgroundWorker({ heapMb: 256 });

/** As a model compiles a format, in a thread with a deadline. */
async function automatonOf(json: string): Promise<Automaton> {
  const failure = (problem: string) => new TesseraeError('ERR_FORMAT', problem);
  const job = { kind: 'format', json: `{"jsonSchema":${json}}` };
  const compiled = await worker.run(job, { timeoutMs: defaultFormatTimeoutMs, signal: undefined, failure });
  const terms = new Terms();
  return new Automaton(terms, await readTerms(compiled as CompiledTerms, terms, new TimeSlice()));
}

/** Those that constraints know; all others are annotations. */
const formats = ['date', 'time', 'date-time', 'uuid', 'email', 'hostname', 'ipv4', 'ipv6', 'uri'] as const;

type Json = Readonly<Record<string, unknown>>;
const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Where documents keep schemas for others to refer to. */
const places = [['components', 'schemas'], ['definitions'], ['$defs']] as const;

function* schemasOf(document: Json): Generator<Json> {
  const { type, properties, $schema } = document;
  const hasType = typeof type === 'string' && type !== 'module' && type !== 'commonjs';
  if (String($schema).includes('json-schema.org') || (hasType && isRecord(properties))) yield document;
  for (const place of places) {
    const all = place.reduce<unknown>((at, name) => (isRecord(at) ? at[name] : undefined), document);
    if (!isRecord(all)) continue;
    const digest = (name: string) => createHash('sha256').update(name).digest('hex');
    const names = Object.keys(all).sort((a, b) => (digest(a) < digest(b) ? -1 : 1));
    for (const name of names.slice(0, perDocument)) yield withReached(all, name, place);
  }
}

/** A schema that refers to one of a document's, with those that it needs. */
function withReached(all: Json, first: string, place: readonly string[]): Json {
  const prefix = `#/${place.join('/')}/`;
  const reached: Record<string, unknown> = {};
  const open = [first];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (Object.hasOwn(reached, name) || !Object.hasOwn(all, name)) continue;
    reached[name] = all[name];
    JSON.stringify(all[name], (key, value) => {
      if (key === '$ref' && typeof value === 'string' && value.startsWith(prefix)) {
        const rest = value.slice(prefix.length).split('/')[0] as string;
        open.push(decodeURIComponent(rest).replaceAll('~1', '/').replaceAll('~0', '~'));
      }
      return value;
    });
  }
  const nested = [...place].reverse().reduce<unknown>((inner, name) => ({ [name]: inner }), reached);
  return { $ref: prefix + encodeURIComponent(first.replaceAll('~', '~0').replaceAll('/', '~1')), ...(nested as Json) };
}

function validatorOf(schema: Json): ValidateFunction | undefined {
  const options = { strict: false, logger: false, validateSchema: false } as const;
  const isNew = /2019|2020/.test(String(schema.$schema));
  const ajv = isNew ? new Ajv2020.default(options) : new Ajv.default(options);
  addFormats.default(ajv, [...formats]);
  try {
    const { $schema, ...rest } = schema;
    return ajv.compile(rest);
  } catch {
    return undefined;
  }
}

test.skipIf(folder === '')('schemas of packages', { timeout: 3_600_000 }, async () => {
  const seen = new Set<string>();
  const refusals = new Map<string, number>();
  let [taken, checked, unchecked] = [0, 0, 0];
  const wrong: unknown[] = [];
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    const path = join(folder, file);
    if (
      !file.endsWith('.json') ||
      /\.deref\.json$|package(-lock)?\.json$/.test(file) ||
      statSync(path).size > 20_000_000
    )
      continue;
    let document: unknown;
    try {
      document = JSON.parse(readFileSync(path, 'utf8'));
    } catch {
      continue;
    }
    if (!isRecord(document)) continue;
    for (const schema of schemasOf(document)) {
      const json = JSON.stringify(schema);
      const digest = createHash('sha256').update(json).digest('base64');
      if (seen.has(digest) || json.length > mostCharacters) continue;
      seen.add(digest);
      let automaton: Automaton;
      try {
        automaton = await automatonOf(json);
      } catch (error) {
        expect(error).toBeInstanceOf(TesseraeError);
        const why = (error as Error).message.replace(/at \S+ /, '').replace(/"[^"]*"|#\S+|\d+/g, '…');
        refusals.set(why, (refusals.get(why) ?? 0) + 1);
        continue;
      }
      taken += 1;
      const validate = json.length > mostComparedCharacters ? undefined : validatorOf(schema);
      if (validate === undefined) unchecked += 1;
      const random = randomFrom(taken);
      for (let i = 0; i < textsPerSchema && validate !== undefined; i++) {
        const text = randomText(automaton, random, 2000);
        if (text === undefined) continue;
        checked += 1;
        if (!validate(JSON.parse(text)))
          wrong.push({ file, text: text.slice(0, 300), errors: validate.errors?.slice(0, 2) });
      }
    }
  }
  const frequent = [...refusals].sort((a, b) => b[1] - a[1]).slice(0, 30);
  const outside = [...refusals].filter(([why]) => why.endsWith('which is not within the schema'));
  const elsewhere = outside.reduce((sum, [, count]) => sum + count, 0);
  console.info(
    `${seen.size} schemas, ${elsewhere} of them refer to other documents; ${taken} taken, ${checked} texts checked, ${unchecked} schemas too large for ajv, or refused by it`,
  );
  console.info(frequent.map(([why, count]) => `${String(count).padStart(6)} ${why}`).join('\n'));
  expect(wrong.slice(0, 20)).toEqual([]);
  expect(taken / (seen.size - elsewhere)).toBeGreaterThan(0.8);
});
