// How the tensors of Hugging Face's models are called in GGUF files, and where the two differ in more than the name.
// Called by huggingface-checkpoint.ts; the names of GGUF are those that the architectures know.

/** What becomes of a tensor. */
export interface Translation {
  readonly name: string;
  /** Stored as [in, out]: gpt2's Conv1D. */
  readonly transposed?: boolean;
  /** Added to each element: gemma's norms multiply by 1 + weight. */
  readonly plus?: number;
}

type Rules = Readonly<Record<string, string>>;

interface Naming {
  /** May stand before every name, as the class of the model has it. */
  readonly prefix: string;
  /** Before the number of a layer. */
  readonly layers: string;
  readonly model: Rules;
  readonly layer: Rules;
  /** Tensors that hold nothing to compute with, or that are no part of the model as it is used here. */
  readonly ignored: RegExp;
}

const rotaryModel: Rules = { embed_tokens: 'token_embd', norm: 'output_norm', lm_head: 'output' };
const rotaryLayer: Rules = {
  input_layernorm: 'attn_norm',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  post_attention_layernorm: 'ffn_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
};
const rotary: Naming = {
  prefix: 'model.',
  layers: 'layers.',
  model: rotaryModel,
  layer: rotaryLayer,
  ignored: /\.rotary_emb\.inv_freq$/,
};
const gemma: Naming = {
  ...rotary,
  layer: {
    ...rotaryLayer,
    post_attention_layernorm: 'post_attention_norm',
    pre_feedforward_layernorm: 'ffn_norm',
    post_feedforward_layernorm: 'post_ffw_norm',
  },
};

const gemma3: Naming = {
  ...gemma,
  // Of a model that sees, what it sees with.
  ignored: /\.rotary_emb\.inv_freq$|^(model\.)?(vision_tower|multi_modal_projector)\./,
};

const bertModel: Rules = {
  'embeddings.word_embeddings': 'token_embd',
  'embeddings.position_embeddings': 'position_embd',
  'embeddings.token_type_embeddings': 'token_types',
  'embeddings.LayerNorm': 'token_embd_norm',
};

const bert: Naming = {
  prefix: 'bert.',
  layers: 'encoder.layer.',
  model: bertModel,
  layer: {
    'attention.self.query': 'attn_q',
    'attention.self.key': 'attn_k',
    'attention.self.value': 'attn_v',
    'attention.output.dense': 'attn_output',
    'attention.output.LayerNorm': 'attn_output_norm',
    'intermediate.dense': 'ffn_up',
    'output.dense': 'ffn_down',
    'output.LayerNorm': 'layer_output_norm',
  },
  ignored: /^(bert\.)?(embeddings\.position_ids$|pooler\.|cls\.)/,
};
const jinaBert: Naming = {
  ...bert,
  layer: {
    ...bert.layer,
    'mlp.gated_layers': 'ffn_up',
    'mlp.wo': 'ffn_down',
    'mlp.layernorm': 'layer_output_norm',
  },
};

/** By the architecture's name in GGUF. */
const namings: Readonly<Record<string, Naming>> = {
  llama: rotary,
  smollm3: rotary,
  qwen2: rotary,
  qwen3: rotary,
  gemma2: gemma,
  gemma3,
  phi3: {
    ...rotary,
    layer: { ...rotaryLayer, 'self_attn.qkv_proj': 'attn_qkv', 'mlp.gate_up_proj': 'ffn_up' },
  },
  gpt2: {
    prefix: 'transformer.',
    layers: 'h.',
    model: { wte: 'token_embd', wpe: 'position_embd', ln_f: 'output_norm', lm_head: 'output' },
    layer: {
      ln_1: 'attn_norm',
      'attn.c_attn': 'attn_qkv',
      'attn.c_proj': 'attn_output',
      ln_2: 'ffn_norm',
      'mlp.c_fc': 'ffn_up',
      'mlp.c_proj': 'ffn_down',
    },
    ignored: /\.attn\.(masked_)?bias$/,
  },
  bert,
  'jina-bert-v2': jinaBert,
  'nomic-bert': {
    prefix: 'bert.',
    layers: 'encoder.layers.',
    model: { ...bertModel, emb_ln: 'token_embd_norm' },
    layer: {
      'attn.Wqkv': 'attn_qkv',
      'attn.out_proj': 'attn_output',
      norm1: 'attn_output_norm',
      'mlp.fc11': 'ffn_up',
      'mlp.fc12': 'ffn_gate',
      'mlp.fc2': 'ffn_down',
      norm2: 'layer_output_norm',
    },
    ignored: /^(bert\.)?(pooler\.|cls\.)/,
  },
};

/**
 * What a tensor is called in GGUF; undefined for one to be left out. A name that is not known stays as it is, for the
 * loader to refuse.
 */
export function translateName(architecture: string, name: string, tied: boolean): Translation | undefined {
  const naming = namings[architecture];
  if (naming === undefined) return { name };
  if (naming.ignored.test(name)) return undefined;
  const [, path = '', kind = ''] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
  const inner = withoutPrefix(path, naming.prefix);
  const translated = translatePath(naming, inner);
  if (translated === undefined) return { name };
  if (translated === 'output' && tied) return undefined;
  const isWeight = kind === 'weight';
  if (architecture === 'gpt2' && isWeight && /\.c_\w+$/.test(path)) {
    return { name: `${translated}.weight`, transposed: true };
  }
  if (architecture.startsWith('gemma') && isWeight && translated.endsWith('norm')) {
    return { name: `${translated}.weight`, plus: 1 };
  }
  return { name: `${translated}.${kind}` };
}

/** Models that see have their text part under a name of its own, before or after the prefix. */
function withoutPrefix(path: string, prefix: string): string {
  return [prefix, 'language_model.', prefix].reduce(
    (rest, part) => (rest.startsWith(part) ? rest.slice(part.length) : rest),
    path,
  );
}

function translatePath({ layers, model, layer }: Naming, path: string): string | undefined {
  if (!path.startsWith(layers)) return Object.hasOwn(model, path) ? model[path] : undefined;
  const [, index, part = ''] = /^(\d{1,5})\.(.*)$/.exec(path.slice(layers.length)) ?? [];
  return index !== undefined && Object.hasOwn(layer, part) ? `blk.${Number(index)}.${layer[part]}` : undefined;
}
