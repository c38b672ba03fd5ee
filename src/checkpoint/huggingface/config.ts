// Translates a config.json of Hugging Face into the metadata keys of GGUF, which the architectures read and check. What a
// config asks for beyond them is refused by name. Called by huggingface-checkpoint.ts.

import { periodWithoutPositions } from '../../architectures/decoders/smollm3.js';
import { JsonView } from '../../base/json-view.js';
import { quote } from '../../base/quote.js';
import type { MetadataValue } from '../../metadata/value-types.js';

/** Architectures of GGUF by the `model_type` of a config. */
const architectures: Readonly<Record<string, string>> = {
  llama: 'llama',
  // Its window is not applied: llama.cpp does without it too.
  mistral: 'llama',
  smollm3: 'smollm3',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
  gemma2: 'gemma2',
  gemma3_text: 'gemma3',
  // Of a model that sees, the part that reads and writes.
  gemma3: 'gemma3',
  phi3: 'phi3',
  gpt2: 'gpt2',
  // Jina's too, where its positions are ALiBi's.
  bert: 'bert',
  nomic_bert: 'nomic-bert',
};

/** What each may compute its feed-forward layers with; another function would make another model. */
const activations: Readonly<Record<string, RegExp>> = {
  llama: /^silu$/,
  smollm3: /^silu$/,
  qwen2: /^silu$/,
  qwen3: /^silu$/,
  phi3: /^silu$/,
  gemma2: /^(gelu_pytorch_tanh|gelu)$/,
  gemma3: /^gelu_pytorch_tanh$/,
  gpt2: /^gelu_(new|pytorch_tanh)$/,
  bert: /^gelu$/,
  'jina-bert-v2': /^gelu$/,
  'nomic-bert': /^(swiglu|silu)$/,
};

export interface TranslatedConfig {
  readonly architecture: string;
  readonly metadata: Map<string, MetadataValue>;
  /** Whether the embedding serves as output matrix, and a matrix in the file is a copy of it. */
  readonly tied: boolean;
}

/** Collects metadata: keys without a dot in front stand as they are, others belong to the architecture. */
class Keys {
  readonly metadata = new Map<string, MetadataValue>();
  readonly #architecture: string;

  constructor(architecture: string) {
    this.#architecture = architecture;
  }

  /** An integer, unless it is absent. */
  count(key: string, value: JsonView): void {
    if (value.isAbsent) return;
    const number = value.number();
    if (!Number.isInteger(number) || number < 0 || number >= 2 ** 32)
      throw value.error(`is ${number}, which is no size`);
    this.#set(key, { type: 'u32', value: number });
  }

  number(key: string, value: JsonView | number): void {
    if (typeof value !== 'number' && value.isAbsent) return;
    this.#set(key, { type: 'f64', value: typeof value === 'number' ? value : value.number() });
  }

  string(key: string, value: string): void {
    this.#set(key, { type: 'string', value });
  }

  flag(key: string, value: boolean): void {
    this.#set(key, { type: 'bool', value });
  }

  has(key: string): boolean {
    return this.metadata.has(this.#nameOf(key));
  }

  #nameOf(key: string): string {
    return key.startsWith('.') ? this.#architecture + key : key;
  }

  #set(key: string, value: MetadataValue): void {
    this.metadata.set(this.#nameOf(key), value);
  }
}

/**
 * @param config the parsed config.json
 * @throws TesseraeError ERR_MODEL_FILE for values that cannot be, ERR_UNSUPPORTED for models that are not built
 */
export function translateConfig(config: unknown, path: string): TranslatedConfig {
  const whole = new JsonView(config, path);
  const architecture = architectureOf(whole);
  if (!whole.at('quantization_config').isAbsent)
    throw whole.at('quantization_config').unsupported('a quantized folder');
  const keys = new Keys(architecture);
  keys.string('general.architecture', architecture);
  const name = whole.at('_name_or_path');
  const view = whole.at('text_config').isAbsent ? whole : whole.at('text_config');
  if (typeof name.value === 'string' && name.value !== '') keys.string('general.name', name.value);
  checkActivation(view, architecture);
  if (architecture === 'gpt2') addGpt2(view, keys);
  else if (architecture === 'bert' || architecture === 'jina-bert-v2') addBert(view, keys, architecture);
  else if (architecture === 'nomic-bert') addNomic(view, keys);
  else addRotary(view, keys, architecture);
  const tiedByDefault = architecture.startsWith('gemma') || architecture === 'gpt2';
  return { architecture, metadata: keys.metadata, tied: view.at('tie_word_embeddings').boolean(tiedByDefault) };
}

/** The name in GGUF. */
function architectureOf(view: JsonView): string {
  const type = view.at('model_type').string();
  const architecture = Object.hasOwn(architectures, type) ? architectures[type] : undefined;
  if (architecture === undefined) {
    const supported = Object.keys(architectures).join(', ');
    throw view.at('model_type').unsupported(`${quote(type)} (supported are ${supported})`);
  }
  const isJina = architecture === 'bert' && view.at('position_embedding_type').value === 'alibi';
  return isJina ? 'jina-bert-v2' : architecture;
}

function first(view: JsonView, ...names: string[]): JsonView {
  return view.at(names.find((name) => !view.at(name).isAbsent) ?? (names[0] as string));
}

function checkActivation(view: JsonView, architecture: string): void {
  const activation = first(view, 'hidden_activation', 'hidden_act', 'activation_function');
  if (activation.isAbsent || activations[architecture]?.test(activation.string()) === true) return;
  throw activation.unsupported(quote(activation.string()));
}

function addGpt2(view: JsonView, keys: Keys): void {
  keys.count('.context_length', first(view, 'n_positions', 'n_ctx'));
  keys.count('.embedding_length', view.at('n_embd'));
  keys.count('.block_count', view.at('n_layer'));
  keys.count('.attention.head_count', view.at('n_head'));
  if (view.at('n_inner').isAbsent) keys.count('.feed_forward_length', fourTimes(view.at('n_embd')));
  else keys.count('.feed_forward_length', view.at('n_inner'));
  keys.number('.attention.layer_norm_epsilon', view.at('layer_norm_epsilon'));
  for (const [name, usual] of [
    ['scale_attn_weights', true] as const,
    ['scale_attn_by_inverse_layer_idx', false] as const,
  ]) {
    if (view.at(name).boolean(usual) !== usual) throw view.at(name).unsupported(String(!usual));
  }
}

function fourTimes(size: JsonView): JsonView {
  return new JsonView(4 * size.number(), size.place);
}

function addBert(view: JsonView, keys: Keys, architecture: string): void {
  addCommonSizes(view, keys);
  keys.number('.attention.layer_norm_epsilon', first(view, 'layer_norm_eps'));
  keys.count('tokenizer.ggml.token_type_count', view.at('type_vocab_size'));
  keys.flag('.attention.causal', false);
  const positions = view.at('position_embedding_type');
  if (architecture === 'jina-bert-v2') {
    const feedForward = view.at('feed_forward_type');
    if (feedForward.string('original') !== 'geglu')
      throw feedForward.unsupported(quote(feedForward.string('original')));
  } else if (positions.string('absolute') !== 'absolute') {
    throw positions.unsupported(quote(positions.string()));
  }
}

function addNomic(view: JsonView, keys: Keys): void {
  keys.count('.context_length', first(view, 'n_positions', 'max_trained_positions'));
  keys.count('.embedding_length', view.at('n_embd'));
  keys.count('.block_count', view.at('n_layer'));
  keys.count('.attention.head_count', view.at('n_head'));
  keys.count('.feed_forward_length', view.at('n_inner'));
  keys.number('.attention.layer_norm_epsilon', view.at('layer_norm_epsilon'));
  keys.number('.rope.freq_base', view.at('rotary_emb_base'));
  keys.count('tokenizer.ggml.token_type_count', view.at('type_vocab_size'));
  keys.flag('.attention.causal', false);
  for (const name of ['prenorm', 'rotary_emb_interleaved']) {
    if (view.at(name).boolean(false)) throw view.at(name).unsupported('true');
  }
  const share = view.at('rotary_emb_fraction');
  if (!share.isAbsent && share.number() !== 1) throw share.unsupported(String(share.number()));
}

function addCommonSizes(view: JsonView, keys: Keys): void {
  keys.count('.context_length', view.at('max_position_embeddings'));
  keys.count('.embedding_length', view.at('hidden_size'));
  keys.count('.block_count', view.at('num_hidden_layers'));
  keys.count('.feed_forward_length', view.at('intermediate_size'));
  keys.count('.attention.head_count', view.at('num_attention_heads'));
}

function addRotary(given: JsonView, keys: Keys, architecture: string): void {
  const view = architecture === 'gemma3' ? withDefaults(given, gemma3Defaults) : given;
  addCommonSizes(view, keys);
  keys.count('.attention.head_count_kv', view.at('num_key_value_heads'));
  keys.count('.attention.key_length', view.at('head_dim'));
  keys.count('.attention.value_length', view.at('head_dim'));
  keys.number('.attention.layer_norm_rms_epsilon', view.at('rms_norm_eps'));
  const ropes = first(view, 'rope_parameters', 'rope_scaling');
  // Newer configs have one for each kind of layer.
  const rope = ropes.at('full_attention').isAbsent ? ropes : ropes.at('full_attention');
  keys.number('.rope.freq_base_swa', ropes.at('sliding_attention').at('rope_theta'));
  keys.number('.rope.freq_base', rope.at('rope_theta').isAbsent ? view.at('rope_theta') : rope.at('rope_theta'));
  addRopeScaling(view, rope, keys);
  if (architecture === 'llama' || architecture === 'smollm3') keys.string('tesserae.rope.style', 'halfSplit');
  if (architecture === 'smollm3') checkLayersWithoutPositions(view);
  if (architecture === 'phi3') addPartialRotation(view, keys);
  if (architecture === 'qwen2' || architecture === 'qwen3' || architecture === 'smollm3') {
    const window = view.at('use_sliding_window');
    if (window.boolean(false)) throw window.unsupported('a sliding window');
    const types = view.at('layer_types');
    const other = types.list().find((type) => type.string() !== 'full_attention');
    if (other !== undefined) throw types.unsupported(quote(other.string()));
  }
  if (architecture.startsWith('gemma')) addGemma(view, keys, architecture);
}

/** What configs of Gemma 3 leave out where it is as usual. */
const gemma3Defaults = {
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  max_position_embeddings: 131_072,
  rms_norm_eps: 1e-6,
  query_pre_attn_scalar: 256,
  sliding_window: 4096,
};

function withDefaults(view: JsonView, defaults: Readonly<Record<string, unknown>>): JsonView {
  const given = Object.entries(view.rawObject()).filter(([, value]) => value !== null);
  return new JsonView({ ...defaults, ...Object.fromEntries(given) }, view.place);
}

/** Layers in which nothing is rotated stand at regular places, as the architecture has them. */
function checkLayersWithoutPositions(view: JsonView): void {
  const rotated = view.at('no_rope_layers');
  rotated.list().forEach((flag, index) => {
    const isRotated = (index + 1) % periodWithoutPositions !== 0;
    if (flag.number() !== Number(isRotated)) throw rotated.unsupported(`${flag.number()} at ${index}`);
  });
  const interval = view.at('no_rope_layer_interval');
  if (!interval.isAbsent && interval.number() !== periodWithoutPositions)
    throw interval.unsupported('another interval');
}

/** The period after which a layer has no window; undefined where the config does not list the layers. */
function windowPeriod(view: JsonView): number | undefined {
  const types = view.at('layer_types');
  const kinds = types.list().map((type) => type.string());
  const first = kinds.indexOf('full_attention');
  if (kinds.length === 0 || first === -1) return undefined;
  kinds.forEach((kind, index) => {
    const expected = index % (first + 1) === first ? 'full_attention' : 'sliding_attention';
    if (kind !== expected) throw types.unsupported(`${quote(kind)} at ${index}`);
  });
  return first + 1;
}

function addPartialRotation(view: JsonView, keys: Keys): void {
  const share = view.at('partial_rotary_factor');
  if (share.isAbsent) return;
  const headDim = view.at('hidden_size').number() / view.at('num_attention_heads').number();
  keys.count('.rope.dimension_count', new JsonView(Math.floor(share.number() * headDim), share.place));
}

function addGemma(view: JsonView, keys: Keys, architecture: string): void {
  keys.count('.attention.sliding_window', view.at('sliding_window'));
  keys.number('.attn_logit_softcapping', view.at('attn_logit_softcapping'));
  keys.number('.final_logit_softcapping', view.at('final_logit_softcapping'));
  const listed = windowPeriod(view);
  if (architecture === 'gemma2' && listed !== undefined && listed !== 2) {
    throw view.at('layer_types').unsupported(`a window in ${listed - 1} of ${listed} layers`);
  }
  if (architecture === 'gemma3') {
    const pattern = first(view, 'sliding_window_pattern', '_sliding_window_pattern');
    keys.count('.attention.sliding_window_pattern', pattern.isAbsent ? new JsonView(listed, pattern.place) : pattern);
    keys.number('.rope.freq_base_swa', view.at('rope_local_base_freq'));
    if (!keys.has('.rope.freq_base')) keys.number('.rope.freq_base', 1e6);
  }
  const scalar = view.at('query_pre_attn_scalar');
  if (scalar.isAbsent) return;
  // The architectures take it from the sizes, as GGUF has no key for it.
  const wide = view.at('hidden_size').number() / view.at('num_attention_heads').number();
  const known = [wide, view.at('head_dim').isAbsent ? wide : view.at('head_dim').number()];
  if (!known.includes(scalar.number())) throw scalar.unsupported(String(scalar.number()));
}

/** `rope_scaling`, which newer configs have in `rope_parameters`. */
function addRopeScaling(view: JsonView, rope: JsonView, keys: Keys): void {
  if (rope.isAbsent) return;
  const type = first(rope, 'rope_type', 'type');
  const name = type.string('default');
  if (name === 'default') return;
  if (!['linear', 'yarn', 'llama3'].includes(name)) throw type.unsupported(quote(name));
  keys.string('.rope.scaling.type', name);
  const factor = rope.at('factor');
  keys.number('.rope.scaling.factor', factor.number());
  if (name === 'linear') return;
  const original = rope.at('original_max_position_embeddings');
  keys.count(
    '.rope.scaling.original_context_length',
    original.isAbsent ? view.at('max_position_embeddings') : original,
  );
  if (name === 'llama3') {
    keys.number('.rope.scaling.low_freq_factor', rope.at('low_freq_factor'));
    keys.number('.rope.scaling.high_freq_factor', rope.at('high_freq_factor'));
    return;
  }
  keys.number('.rope.scaling.yarn_beta_fast', rope.at('beta_fast'));
  keys.number('.rope.scaling.yarn_beta_slow', rope.at('beta_slow'));
  for (const other of ['mscale', 'mscale_all_dim']) {
    if (!rope.at(other).isAbsent) throw rope.at(other).unsupported(other);
  }
  // The architectures multiply by the growth that YaRN has by itself.
  const attention = rope.at('attention_factor');
  if (!attention.isAbsent) {
    keys.number('.rope.scaling.attn_factor', attention.number() / (1 + 0.1 * Math.log(Math.max(1, factor.number()))));
  }
}
