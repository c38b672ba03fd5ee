// Prints the tests that failed by a report of vitest (its reporter `json`), each with the first lines of its error.
//
// Use: node scripts/failed-tests.mjs REPORT STEP
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { argv } from 'node:process';
import { stripVTControlCharacters } from 'node:util';

const LINES_OF_AN_ERROR = 6;
const CHARACTERS_OF_A_LINE = 300;

const [file, step] = argv.slice(2);
const { testResults } = JSON.parse(readFileSync(file, 'utf8'));

/** The first lines of an error's text, indented. */
function shorten(text) {
  const lines = stripVTControlCharacters(text).split('\n').slice(0, LINES_OF_AN_ERROR);
  return lines.map((line) => `    ${line.slice(0, CHARACTERS_OF_A_LINE)}`).join('\n');
}

for (const { name, status, message, assertionResults } of testResults) {
  const where = `${step}: ${path.relative(path.resolve(path.dirname(file), '..'), name)}`;
  const failed = assertionResults.filter((test) => test.status === 'failed');
  for (const { fullName, failureMessages } of failed) {
    console.log(`FAILED in ${where}: ${fullName}\n${shorten(failureMessages.join('\n'))}`);
  }
  // A file that could not be loaded has no failed test of its own.
  if (status === 'failed' && failed.length === 0) console.log(`FAILED in ${where}\n${shorten(message)}`);
}
