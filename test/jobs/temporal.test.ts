// The activity of docs/JOBS.md for Temporal, with a context of our own in place of Temporal's: an activity that ends in the middle
// goes on from its last heartbeat, and the file has the bytes of one that ran through.
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { documentPrograms, ProgramFolder } from '../support/running/document-programs.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const programs = new ProgramFolder();
const files = temporaryFolder();
afterAll(() => {
  programs.remove();
  files.remove();
});

/** Runs the activity in attempts: each ends after so many heartbeats, and the next one has the last of those that were sent. */
const driver = `
const [path, ...limits] = process.argv.slice(2);
const texts = Array.from({ length: 60 }, (_, index) => index + ' of the sea');
let heartbeatDetails;
const starts = [];
for (const limit of limits.map(Number)) {
  const stop = new AbortController();
  let beats = 0;
  starts.push(heartbeatDetails?.done ?? 0);
  const sent = { ...heartbeatDetails };
  context = {
    info: { heartbeatDetails },
    cancellationSignal: stop.signal,
    heartbeat(details) {
      // Temporal sends heartbeats now and then: the last ones before a failure are lost.
      if (++beats % 4 === 0) sent.done = details.done;
      if (beats === limit) stop.abort();
    },
  };
  await embedToFile(texts, path).catch((error) => {
    if (error.name !== 'AbortError') throw error;
  });
  heartbeatDetails = sent;
}
console.log(JSON.stringify(starts));
await engine.close();
`;

test('an activity goes on from its last heartbeat', { timeout: 240_000 }, () => {
  const [activity] = documentPrograms().filter(({ packages }) => packages.includes('@temporalio/activity'));
  const ours = (activity?.text ?? '').replace(
    "import { Context } from '@temporalio/activity';",
    'let context;\nconst Context = { current: () => context };',
  );
  const run = (...args: string[]) => {
    const text = `process.argv.push(...${JSON.stringify(args)});\n${ours}${driver}`;
    const { status, stdout, stderr } = programs.run({ text, packages: ['tesserae'] });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return JSON.parse(stdout) as number[];
  };
  const [whole, cut] = [files.file('whole.f32'), files.file('cut.f32')];
  expect(run(whole, '1000')).toEqual([0]);
  writeFileSync(cut, 'what was there before');
  expect(run(cut, '10', '17', '1000')).toEqual([0, 8, 24]);
  expect(readFileSync(cut).equals(readFileSync(whole))).toBe(true);
});
