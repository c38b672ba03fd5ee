#!/usr/bin/env node
// The `tesserae` command: registers the commands, each a file of commands/, and reports bad usage in one line.
import { Command, CommanderError } from 'commander';
import { packageVersion } from '../base/package-files.js';
import { addBatch } from './commands/batch.js';
import { addBench } from './commands/bench.js';
import { addDemo } from './commands/demo.js';
import { addEmbed } from './commands/embed.js';
import { addGenerate } from './commands/generate.js';
import { addInfo } from './commands/info.js';
import { addPerplexity } from './commands/perplexity.js';
import { addQuantize } from './commands/quantize.js';
import { addServe } from './commands/serve.js';
import { addTop } from './commands/top.js';
import { exitCodes, oneLine } from './run-command.js';

const program = new Command('tesserae')
  .description('Tensor and transformer compute on all CPU cores')
  .version(packageVersion, '--version')
  .helpOption('--help', 'show help')
  .helpCommand(false)
  .exitOverride()
  // The error is printed below instead, in one line.
  .configureOutput({ outputError: () => {} });
const commands = [addDemo, addBench, addGenerate, addEmbed, addBatch, addServe, addTop];
for (const add of [...commands, addPerplexity, addQuantize, addInfo]) {
  add(program);
}
for (const command of program.commands) {
  command.copyInheritedSettings(program).helpOption('--help', 'show help').allowExcessArguments(false);
}

if (process.argv.length <= 2) {
  process.stderr.write(program.helpInformation());
  process.exitCode = exitCodes.usage;
} else {
  try {
    await program.parseAsync();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== exitCodes.success) {
      process.stderr.write(`tesserae: ${oneLine(error.message.replace(/^error: /, ''))}\n`);
      process.exitCode = exitCodes.usage;
    }
  }
}
