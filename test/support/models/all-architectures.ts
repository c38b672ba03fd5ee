// All architectures in the folders of src/architectures, found without the registry. Used by tests that cover each of
// them.
import { readdirSync } from 'node:fs';
import type { Architecture } from '../../../src/architectures/architecture.js';

export const decoders: readonly Architecture[] = await architecturesIn('decoders');
export const encoders: readonly Architecture[] = await architecturesIn('encoders');

async function architecturesIn(name: string): Promise<Architecture[]> {
  const folder = new URL(`../../../src/architectures/${name}/`, import.meta.url);
  const files = readdirSync(folder).map((file) => new URL(file, folder).href);
  const modules: object[] = await Promise.all(files.map((file) => import(file)));
  return modules.flatMap((module) => Object.values(module)).filter(isArchitecture);
}

function isArchitecture(value: unknown): value is Architecture {
  return typeof value === 'object' && value !== null && 'recordHidden' in value;
}
