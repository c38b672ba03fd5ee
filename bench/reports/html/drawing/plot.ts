// The parts that plots share: the drawing with its axes, lines, points and the legend. Colours are classes (s0, s1, …)
// that style.ts defines for light and dark.
import { type Content, element, isNarrow, type Markup } from './markup.js';
import type { Scale } from './scale.js';

/** How many colours the style has. */
export const colourCount = 8;
export const colourOf = (index: number): string => `s${index % colourCount}`;

export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Room for the axes around the plot; `left` grows with the labels of rows, where there are any. */
export function frameOf(width: number, height: number, left = isNarrow(width) ? 44 : 56): Frame {
  return { width, height, left, right: isNarrow(width) ? 18 : 20, top: 26, bottom: 42 };
}

/** A drawing that a screen reader announces by its title. */
export function drawing({ width, height }: Frame, title: string, ...content: readonly Content[]): Markup {
  return element('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': title }, ...content);
}

/** Grid line, tick and label of each tick, and the axis's title. */
export function xAxis(frame: Frame, scale: Scale, title: string): Markup {
  const { width, height, left, right, top, bottom } = frame;
  const base = height - bottom;
  return element(
    'g',
    {},
    scale.ticks.map(({ value, label }) => [
      line('grid', [scale.at(value), top], [scale.at(value), base]),
      text(label, scale.at(value), base + 16, 'middle', 'tick'),
    ]),
    line('axis', [left, base], [width - right, base]),
    text(title, (left + width - right) / 2, height - 6, 'middle', 'title'),
  );
}

/** Like {@link xAxis}, with its title above the axis. */
export function yAxis(frame: Frame, scale: Scale, title: string): Markup {
  const { width, left, right } = frame;
  return element(
    'g',
    {},
    scale.ticks.map(({ value, label }) => [
      line('grid', [left, scale.at(value)], [width - right, scale.at(value)]),
      text(label, left - 6, scale.at(value) + 4, 'end', 'tick'),
    ]),
    text(title, 2, 14, 'start', 'title'),
  );
}

type Point = readonly [x: number, y: number];

export function line(style: string, [x1, y1]: Point, [x2, y2]: Point): Markup {
  return element('line', { class: style, x1, y1, x2, y2 });
}

export function text(
  content: string,
  x: number,
  y: number,
  anchor: 'start' | 'middle' | 'end' = 'start',
  style?: string,
): Markup {
  return element('text', { class: style, x, y, 'text-anchor': anchor === 'start' ? undefined : anchor }, content);
}

export function polyline(style: string, points: readonly Point[]): Markup {
  const path = points.map(([x, y]) => `${Math.round(x * 10) / 10},${Math.round(y * 10) / 10}`).join(' ');
  return element('polyline', { class: `line ${style}`, points: path });
}

/** A mark. Its shape differs with its colour, so that series can be told apart by either. */
export function mark(index: number, [x, y]: Point, title: string, radius = 4.5): Markup {
  const style = `mark ${colourOf(index)}`;
  const r = radius;
  const caption = element('title', {}, title);
  const polygon = (points: readonly Point[]) =>
    element(
      'polygon',
      { class: style, points: points.map(([dx, dy]) => `${fix(x + dx)},${fix(y + dy)}`).join(' ') },
      caption,
    );
  switch (index % 4) {
    case 1:
      return element(
        'rect',
        { class: style, x: x - r * 0.9, y: y - r * 0.9, width: r * 1.8, height: r * 1.8 },
        caption,
      );
    case 2:
      return polygon([
        [0, -r * 1.2],
        [r * 1.15, r * 0.9],
        [-r * 1.15, r * 0.9],
      ]);
    case 3:
      return polygon([
        [0, -r * 1.3],
        [r * 1.3, 0],
        [0, r * 1.3],
        [-r * 1.3, 0],
      ]);
    default:
      return element('circle', { class: style, cx: x, cy: y, r }, caption);
  }
}

const fix = (value: number): number => Math.round(value * 10) / 10;

export interface LegendEntry {
  /** Chooses the colour and the shape of the mark. */
  readonly index: number;
  readonly label: string;
  readonly kind: 'mark' | 'line' | 'box';
  /** The class of the line, where it is not that of a series. */
  readonly style?: string;
}

/** The legend is HTML, so that it wraps with the width of the window. */
export function legend(entries: readonly LegendEntry[]): Markup {
  return element(
    'ul',
    { class: 'legend' },
    entries.map((entry) => element('li', {}, swatch(entry), ' ', entry.label)),
  );
}

function swatch({ index, label, kind, style = `line ${colourOf(index)}` }: LegendEntry): Markup {
  const parts: Content[] = [];
  if (kind !== 'box') parts.push(line(style, [0, 7], [26, 7]));
  if (kind === 'mark') parts.push(mark(index, [13, 7], label));
  if (kind === 'box')
    parts.push(element('rect', { class: `box ${colourOf(index)}`, x: 6, y: 1, width: 14, height: 12 }));
  return element('svg', { viewBox: '0 0 26 14', width: 26, height: 14, 'aria-hidden': 'true' }, parts);
}
