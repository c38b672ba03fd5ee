// The tokens that a Hugging Face folder adds before and after a text, its special tokens by name, the tokens that
// remove white space around them, and its chat templates, as metadata. Called by huggingface.ts.
import type { JsonView } from '../../base/json-view.js';
import { quote } from '../../base/quote.js';
import type { MetadataMap } from '../../metadata/value-types.js';
import { idOf, type TokenList, unknownOf } from './huggingface-tokens.js';

/** The ids of the tokens that are added to a text. */
interface Endings {
  before?: number;
  after?: number;
}

export function addEndings(file: JsonView, config: JsonView, tokens: TokenList, metadata: MetadataMap): void {
  const endings: Endings = {};
  const processor = file.at('post_processor');
  readProcessor(processor, tokens, endings, 0);
  const isEncoder = metadata.get('tokenizer.ggml.model')?.value === 'bert';
  const named = (name: string): number | undefined => {
    const token = config.at(`${name}_token`);
    if (token.isAbsent) return undefined;
    return idOf(tokens, typeof token.value === 'string' ? token.value : token.at('content').string());
  };
  const unknown = named('unk') ?? unknownOf(file.at('model'), tokens);
  const setId = (name: string, id: number | undefined) => {
    if (id !== undefined) metadata.set(`tokenizer.ggml.${name}_token_id`, { type: 'u32', value: id });
  };
  const bos = endings.before ?? named('bos');
  const eos = endings.after ?? named('eos');
  setId('bos', bos);
  setId(isEncoder ? 'seperator' : 'eos', isEncoder ? (eos ?? named('sep')) : eos);
  // The config's EOS ends a turn if another token ends a text.
  if (!isEncoder && named('eos') !== eos) setId('eot', named('eos'));
  setId('unknown', unknown);
  const decides = !processor.isAbsent;
  const adds = (name: string, ending: number | undefined, id: number | undefined) => {
    const value = decides ? ending !== undefined : config.at(`add_${name}_token`).boolean(false) && id !== undefined;
    metadata.set(`tokenizer.ggml.add_${isEncoder && name === 'eos' ? 'sep' : name}_token`, { type: 'bool', value });
  };
  adds('bos', endings.before, bos);
  adds('eos', endings.after, eos);
  addStrips(file, metadata);
  addTemplates(config, metadata);
}

function readProcessor(part: JsonView, tokens: TokenList, endings: Endings, depth: number): void {
  if (part.isAbsent) return;
  const type = part.at('type').string();
  const setOnce = (side: 'before' | 'after', id: number) => {
    if (endings[side] !== undefined) throw part.unsupported(`a template with two tokens ${side} the text`);
    endings[side] = id;
  };
  switch (type) {
    case 'Sequence':
      if (depth > 8) throw part.unsupported('so deeply nested a Sequence');
      for (const inner of part.at('processors').list()) readProcessor(inner, tokens, endings, depth + 1);
      return;
    case 'ByteLevel':
      return;
    case 'BertProcessing':
    case 'RobertaProcessing':
      setOnce('before', pairId(part.at('cls'), tokens));
      setOnce('after', pairId(part.at('sep'), tokens));
      return;
    case 'TemplateProcessing': {
      let side: 'before' | 'after' = 'before';
      for (const item of part.at('single').list()) {
        if (!item.at('Sequence').isAbsent) {
          side = 'after';
          continue;
        }
        const name = item.at('SpecialToken').at('id').string();
        const listed = part.at('special_tokens').at(name).at('ids').list();
        if (listed.length > 1) throw part.unsupported('a special token with several ids');
        const id = listed[0]?.id() ?? idOf(tokens, name);
        if (id === undefined) throw part.error(`names ${quote(name)}, which is not a token`);
        setOnce(side, id);
      }
      return;
    }
    default:
      throw part.unsupported(quote(type));
  }
}

/** The id of a `[token, id]` pair. */
function pairId(pair: JsonView, tokens: TokenList): number {
  const [text] = pair.list();
  const id = text === undefined ? undefined : idOf(tokens, text.string());
  if (id === undefined) throw pair.error('is not a token');
  return id;
}

function addStrips(file: JsonView, metadata: MetadataMap): void {
  const sides = { lstrip: 'left', rstrip: 'right' } as const;
  for (const [option, side] of Object.entries(sides)) {
    const stripping = file
      .at('added_tokens')
      .list()
      .filter((token) => token.at(option).boolean(false));
    if (stripping.length === 0) continue;
    const value = Int32Array.from(stripping, (token) => token.at('id').id());
    metadata.set(`tesserae.tokenizer.strips_${side}`, { type: 'array', element: 'i32', value });
  }
}

function addTemplates(config: JsonView, metadata: MetadataMap): void {
  const template = config.at('chat_template');
  if (typeof template.value === 'string') {
    metadata.set('tokenizer.chat_template', { type: 'string', value: template.value });
    return;
  }
  for (const named of template.list()) {
    const name = named.at('name').string();
    const key = name === 'default' ? 'tokenizer.chat_template' : `tokenizer.chat_template.${name}`;
    metadata.set(key, { type: 'string', value: named.at('template').string() });
  }
}
