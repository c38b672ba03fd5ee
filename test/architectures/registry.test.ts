// The registry finds every architecture that has a file, by GGUF metadata and by config.json, and each is among the
// folders that the tests of checkpoints load.
import { describe, expect, test } from 'vitest';
import { architectureOf, architectureOfFolder } from '../../src/architectures/registry.js';
import { JsonView } from '../../src/base/json-view.js';
import { ModelMetadata } from '../../src/metadata/model-metadata.js';
import { decoders, encoders } from '../support/models/all-architectures.js';
import { pairs } from '../support/models/huggingface-pairs.js';
import { text } from '../support/models/random-model.js';

test('the files are found', () => {
  expect(decoders.length).toBeGreaterThanOrEqual(8);
  expect(encoders.length).toBeGreaterThanOrEqual(3);
});

describe.each([...decoders, ...encoders].map((architecture) => ({ name: architecture.name, architecture })))(
  '$name',
  ({ name, architecture }) => {
    test('is found by its metadata', () => {
      expect(architectureOf(new ModelMetadata([['general.architecture', text(name)]], 'test'))).toBe(architecture);
    });

    test('is found by the config of a folder, for each model_type', () => {
      const pair = pairs.find(([, { model }]) => model.architecture === name);
      expect(pair).toBeDefined();
      const { modelTypes } = architecture.huggingFace;
      expect(modelTypes.length).toBeGreaterThan(0);
      for (const model_type of modelTypes) {
        const config = new JsonView({ ...pair?.[1].config, model_type }, 'config.json');
        expect(architectureOfFolder(config)).toBe(architecture);
      }
    });
  },
);
