// A mutation fuzzer over Hugging Face folders: headers of safetensors files, their index, config.json, tokenizer.json
// of every kind, and tokenizer_config.json. test/support/damage/fuzz.ts says what must hold of a mutant. Seeded:
// failures can be repeated.
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, test } from 'vitest';
import { expectOpenedOrRefused, fuzzTimeout } from '../../support/damage/fuzz.js';
import { damageBytes, damageJson, type Pick } from '../../support/damage/mutations.js';
import { tinyFolder } from '../../support/models/huggingface-folder.js';
import { sharedEngines } from '../../support/running/engines.js';
import { temporaryFolder } from '../../support/temporary-folder.js';

const engines = sharedEngines();
const folder = temporaryFolder();
afterAll(() => folder.remove());

/** Damages one file of a folder, as JSON or as bytes; of a safetensors file only the header. */
function damageFile(name: string, whole: Buffer, pick: Pick): Buffer {
  if (!name.endsWith('.safetensors')) {
    return pick(4) === 0 ? damageBytes(whole, whole.length, pick) : Buffer.from(damageJson(`${whole}`, pick));
  }
  const headerBytes = 8 + Number(whole.readBigUInt64LE());
  if (pick(2) === 0) return damageBytes(whole, headerBytes, pick);
  const header = Buffer.from(damageJson(`${whole.subarray(8, headerBytes)}`, pick));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, whole.subarray(headerBytes)]);
}

test.each([
  ['llama', 8000],
  ['gemma2', 4000],
  ['bert', 4000],
  ['bert with a unigram tokenizer', 4000],
] as const)('%s: %d damaged folders open or are refused', { timeout: fuzzTimeout }, async (kind, mutants) => {
  const engine = await engines({ threads: 1 });
  const sound = folder.file(`${kind} sound`);
  tinyFolder(sound, kind);
  const path = folder.file(kind);
  mkdirSync(join(path, '1_Pooling'), { recursive: true });
  const names = readdirSync(sound, { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('.'));
  const files = new Map(names.map((name) => [name, readFileSync(join(sound, name))]));
  for (const [name, bytes] of files) writeFileSync(join(path, name), bytes);
  let damaged = names[0] as string;
  await expectOpenedOrRefused({
    engine,
    mutants,
    sound,
    path,
    write: (pick) => {
      writeFileSync(join(path, damaged), files.get(damaged) as Buffer);
      damaged = names[pick(names.length)] as string;
      writeFileSync(join(path, damaged), damageFile(damaged, files.get(damaged) as Buffer, pick));
      return names.reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
    },
  });
});
