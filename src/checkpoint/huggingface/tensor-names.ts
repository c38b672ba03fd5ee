// Translates the tensor names of a Hugging Face folder into those of GGUF, by the names that its architecture states.
// Called by huggingface-checkpoint.ts.

import type { TensorNames, TensorRule } from '../../architectures/huggingface-mapping.js';

/** Vision models have their text part under this name, before or after the prefix. */
const textPart = 'language_model.';

/**
 * What a tensor is called in GGUF, and how it is stored; undefined for one to be left out. An unknown name stays as it
 * is: loading refuses it.
 * @param tied whether the embedding is also the output matrix, so that a copy of it is left out
 */
export function translateName(names: TensorNames, name: string, tied: boolean): TensorRule | undefined {
  if (names.ignored.test(name)) return undefined;
  const [, path = '', kind = ''] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
  const rule = findRule(names, withoutPrefix(path, names.prefix));
  if (rule === undefined) return { name };
  if (rule.name === 'output' && tied) return undefined;
  const translated = `${rule.name}.${kind}`;
  return kind === 'weight' ? { ...rule, name: translated } : { name: translated };
}

function withoutPrefix(path: string, prefix: string): string {
  return [prefix, textPart, prefix].reduce(
    (rest, part) => (rest.startsWith(part) ? rest.slice(part.length) : rest),
    path,
  );
}

function findRule({ layers, model, layer }: TensorNames, path: string): TensorRule | undefined {
  if (!path.startsWith(layers))
    return Object.hasOwn(model, path) ? asRule(model[path] as string | TensorRule) : undefined;
  const [, index, part = ''] = /^(\d{1,5})\.(.*)$/.exec(path.slice(layers.length)) ?? [];
  if (index === undefined || !Object.hasOwn(layer, part)) return undefined;
  const rule = asRule(layer[part] as string | TensorRule);
  return { ...rule, name: `blk.${Number(index)}.${rule.name}` };
}

function asRule(rule: string | TensorRule): TensorRule {
  return typeof rule === 'string' ? { name: rule } : rule;
}
