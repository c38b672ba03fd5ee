// Text at which tokenizers differ: contractions, cases, scripts, marks, numbers, white space, emoji. The tests of the
// tokenizers join such parts at random.
import { randomSource } from '../models/random-weights.js';

export const difficultParts: readonly string[] = [
  "'s",
  "'LL",
  "'Ve",
  "don't",
  'a',
  'Word',
  'camelCase',
  'ABC',
  'ÉtÉ',
  'ПриветМир',
  'ǅ',
  'ªº',
  'ʰ',
  '漢字',
  'かな',
  'カナ',
  '가각',
  'हिन्दी',
  'עִבְרִית',
  'e\u0301',
  '\u0301',
  '1',
  '12',
  '12345',
  '²½',
  '٣',
  ' ',
  '  ',
  '\t',
  '\n',
  '\r\n',
  '\n\n  ',
  '\u00a0',
  '\u0085',
  '\u3000',
  '.',
  '...',
  '!?',
  '/',
  '//\n',
  '-x',
  '#include',
  '<|end|>',
  '$',
  '+',
  '`',
  '^',
  '…',
  '。',
  '،',
  '😀',
  '👨‍👩‍👧',
  '\u200d',
  '\u0000',
  '\u00ad',
];

/** Blocks of characters whose classes are the same in all versions of Unicode that are in use. */
const blocks: readonly (readonly [first: number, last: number])[] = [
  [0x21, 0x24f],
  [0x391, 0x3a1],
  [0x410, 0x45f],
  [0x5d0, 0x5ea],
  [0x621, 0x64a],
  [0x905, 0x939],
  [0xe01, 0xe3a],
  [0x1e00, 0x1eff],
  [0x2010, 0x2027],
  [0x2190, 0x23f3],
  [0x3041, 0x3096],
  [0x4e00, 0x9fa5],
  [0xac00, 0xd7a3],
  [0xe000, 0xe010],
  [0xff01, 0xff5e],
  [0x1d400, 0x1d454],
  [0x1f300, 0x1f5ff],
  [0x20000, 0x2a6d6],
];

/** A text of such parts, of characters of any script, and of some of `more`. The same seed gives the same text. */
export function difficultText(seed: number, more: readonly string[] = []): string {
  const random = randomSource(seed + 1);
  const pick = <T>(from: readonly T[]) => from[Math.floor((random() + 1) * 0.5 * from.length)] as T;
  const character = () => {
    const [first, last] = pick(blocks);
    return String.fromCodePoint(Math.floor(first + (random() + 1) * 0.5 * (last + 1 - first)));
  };
  const length = Math.floor((random() + 1) * 15);
  return Array.from({ length }, () => {
    const kind = random();
    if (kind > 0.9 && more.length > 0) return pick(more);
    return kind > 0.4 ? character() : pick(difficultParts);
  }).join('');
}
