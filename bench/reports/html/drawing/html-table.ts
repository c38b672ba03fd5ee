// Tables of figures as HTML. A table wider than the window scrolls sideways.
import { element, type Markup } from './markup.js';

export interface HtmlColumn<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
  /** Words, which are aligned to the left; figures to the right. */
  readonly isText?: boolean;
}

export function table<Row>(columns: readonly HtmlColumn<Row>[], rows: readonly Row[], caption: string): Markup {
  const classOf = ({ isText }: HtmlColumn<Row>) => (isText === true ? 'text' : undefined);
  return element(
    'div',
    { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption },
    element(
      'table',
      {},
      element('caption', {}, element('span', {}, caption)),
      element(
        'thead',
        {},
        element(
          'tr',
          {},
          columns.map((column) => element('th', { scope: 'col', class: classOf(column) }, column.title)),
        ),
      ),
      element(
        'tbody',
        {},
        rows.map((row) =>
          element(
            'tr',
            {},
            columns.map((column) => element('td', { class: classOf(column) }, column.cell(row))),
          ),
        ),
      ),
    ),
  );
}
