// Elements of HTML and SVG as text. Everything that comes from outside (names of models, CPUs, peers) is escaped here.

export type Attributes = Readonly<Record<string, string | number | undefined>>;

/** Text that is markup. Plain strings are escaped, this is not. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Content = Markup | string | number | readonly Content[];

/** `<name attributes>content</name>` */
export function element(name: string, attributes: Attributes = {}, ...content: readonly Content[]): Markup {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${escapeText(typeof value === 'number' ? short(value) : String(value))}"`);
  return new Markup(`<${name}${written.join('')}>${markupOf(content)}</${name}>`);
}

function markupOf(content: Content): string {
  if (content instanceof Markup) return content.text;
  if (typeof content === 'string' || typeof content === 'number') return escapeText(String(content));
  return content.map(markupOf).join('');
}

function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Rounds to a tenth of a unit, which is finer than any screen. */
function short(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** The same drawing twice, for wide windows and for phones, so that text has the same size on both. */
export function twoWidths(draw: (width: number) => Markup): Markup[] {
  return [element('div', { class: 'wide' }, draw(wideWidth)), element('div', { class: 'narrow' }, draw(narrowWidth))];
}

const wideWidth = 960;
const narrowWidth = 360;

export function isNarrow(width: number): boolean {
  return width < 600;
}
