// The executor's memory orders are those that its model was checked with (native/test/model/executor.pml). A weakened order loses a
// program once in millions of runs, or on other CPUs alone, so that no test that runs it can be relied on to notice. Whoever
// changes this table weakens the same pair of accesses in the model first, and runs scripts/check-model.sh.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const core = join(import.meta.dirname, '../../native/core');

/** The words of native/core/control.h that threads agree by. Others hold times, CPUs and statistics. */
const words =
  'bell calls_owed cancelled claimed closing done endings failure inside live movable owed prefix program sleepers state visitors';

/** For each file its accesses as `word operation order`. Relaxed reads only look early; what they see is looked at again. */
const table: Readonly<Record<string, readonly string[]>> = {
  'bell.h': [
    'bell fetch_add seq_cst',
    'bell fetch_add seq_cst',
    'owed compare_exchange_strong seq_cst',
    'owed compare_exchange_weak seq_cst',
    'owed fetch_add seq_cst',
    'owed load seq_cst',
    'sleepers load seq_cst',
    'sleepers load seq_cst',
  ],
  'calls.cpp': [
    'calls_owed compare_exchange_weak seq_cst',
    'calls_owed load seq_cst',
    'calls_owed load seq_cst',
    'calls_owed store seq_cst',
    'state compare_exchange_strong seq_cst',
    'state load seq_cst',
  ],
  'coordinator.cpp': [
    'bell load acquire',
    'bell load seq_cst',
    'cancelled load seq_cst',
    'cancelled load seq_cst',
    'cancelled load seq_cst',
    'cancelled store relaxed',
    'cancelled store seq_cst',
    'claimed store relaxed',
    'closing store seq_cst',
    'done store relaxed',
    'failure store relaxed',
    'inside exchange seq_cst',
    'live fetch_and seq_cst',
    'live fetch_and seq_cst',
    'live fetch_and seq_cst',
    'live fetch_or seq_cst',
    'prefix load seq_cst',
    'prefix store release',
    'program load seq_cst',
    'program store seq_cst',
    'program store seq_cst',
    'state store seq_cst',
    'visitors fetch_sub seq_cst',
    'visitors load seq_cst',
    'visitors load seq_cst',
  ],
  'spin.h': ['bell load acquire', 'bell load acquire', 'live load relaxed', 'live load relaxed', 'live load relaxed'],
  'swap_cpus.h': [
    'bell load relaxed',
    'inside load relaxed',
    'live load relaxed',
    'movable compare_exchange_strong acquire',
    'movable compare_exchange_strong acquire',
    'movable load relaxed',
    'movable load relaxed',
    'movable load relaxed',
    'movable store release',
    'movable store release',
  ],
  'visit.h': [
    'cancelled load seq_cst',
    'cancelled load seq_cst',
    'cancelled store seq_cst',
    'claimed compare_exchange_weak acq_rel relaxed',
    'claimed load relaxed',
    'closing load relaxed',
    'done fetch_add seq_cst',
    'done load seq_cst',
    'endings fetch_add seq_cst',
    'failure compare_exchange_strong seq_cst',
    'inside store relaxed',
    'inside store relaxed',
    'live fetch_and seq_cst',
    'live fetch_and seq_cst',
    'live load relaxed',
    'prefix compare_exchange_strong seq_cst',
    'prefix load acquire',
    'prefix load acquire',
    'program load seq_cst',
    'program load seq_cst',
    'visitors fetch_add seq_cst',
    'visitors fetch_sub seq_cst',
  ],
  'worker.cpp': [
    'bell load relaxed',
    'bell load relaxed',
    'bell load seq_cst',
    'calls_owed fetch_add seq_cst',
    'closing load seq_cst',
    'live load relaxed',
    'live load seq_cst',
    'live load seq_cst',
    'live load seq_cst',
    'sleepers fetch_add seq_cst',
    'sleepers fetch_sub seq_cst',
    'state store seq_cst',
    'state store seq_cst',
  ],
};

function accessesIn(source: string): string[] {
  // The one function that takes the order of its access.
  const code = source
    .replace(/\/\/.*$/gm, '')
    .replaceAll('program.load(order)', '')
    .replaceAll('program_in(slot_,', 'program.load(');
  const found: string[] = [];
  const call = /(\w+)(?:\[[^\]]*\])?(?:\.|->)(load|store|exchange|fetch_\w+|compare_exchange_\w+)\(/g;
  for (const { index, 0: start, 1: word, 2: operation } of code.matchAll(call)) {
    let end = index + start.length;
    for (let depth = 1; depth > 0; end++) depth += { '(': 1, ')': -1 }[code[end] as string] ?? 0;
    const orders = [...code.slice(index, end).matchAll(/memory_order_(\w+)/g)].map(([, order]) => order);
    if (words.split(' ').includes(word as string)) found.push([word, operation, ...orders].join(' '));
  }
  return found.sort();
}

/** What is in `all` and not in `some`, each as often as it is there more often. */
function without(all: readonly string[], some: readonly string[]): string[] {
  const left = [...some];
  return all.filter((one) => {
    const at = left.indexOf(one);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

test('the memory orders of the executor are those of its model', () => {
  for (const file of readdirSync(core)) {
    const found = accessesIn(readFileSync(join(core, file), 'utf8'));
    const known = table[file] ?? [];
    expect({ file, missing: without(known, found) }).toEqual({ file, missing: [] });
    const more = without(found, known).filter((access) => !access.endsWith(' seq_cst'));
    expect({ file, weaker: more }).toEqual({ file, weaker: [] });
  }
});
