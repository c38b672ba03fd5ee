// The data that the page is made from, and what a chapter of it consists of. Draws nothing.
import type { BenchReport, SuiteReport } from '../../suites/run-suites.js';
import type { Timeline } from '../../suites/timeline.js';
import type { Markup } from './drawing/markup.js';

/** A figure of ours or of a peer. */
export interface PeerFigure {
  readonly name: string;
  /** In the unit of the row. */
  readonly value: number;
  readonly medianMs: number;
  readonly gflops: number;
  /** How many times longer than ours. */
  readonly ratio: number | undefined;
}

export interface PeerRow {
  readonly name: string;
  readonly unit: string;
  /** n of a product n × n × n; else undefined. */
  readonly size: number | undefined;
  /** Ours first. */
  readonly figures: readonly PeerFigure[];
  readonly target: string;
  readonly met: boolean | undefined;
}

export interface PeerData {
  /** Threads of each of those compared. */
  readonly workers: number;
  readonly about: readonly string[];
  readonly rows: readonly PeerRow[];
}

export interface ReportData {
  readonly report: BenchReport;
  readonly peers: PeerData | undefined;
  readonly timeline: Timeline | undefined;
}

export interface Chapter {
  /** The id of its section, to which the links at the top of the page lead. */
  readonly id: string;
  readonly title: string;
  readonly intro: string;
  /** Listed below the intro. */
  readonly notes?: readonly string[];
  readonly body: readonly Markup[];
}

type RowsIn<Report, Name> = Report extends { readonly suite: infer Names; readonly rows: readonly (infer Row)[] }
  ? Name extends Names
    ? Row
    : never
  : never;

type RowsOf<Name extends SuiteReport['suite']> = RowsIn<SuiteReport, Name>;

/** The rows of a suite, none if it did not run. */
export function rowsOf<Name extends SuiteReport['suite']>(report: BenchReport, name: Name): RowsOf<Name>[] {
  return report.suites.flatMap((suite) => (suite.suite === name ? [...suite.rows] : [])) as RowsOf<Name>[];
}
