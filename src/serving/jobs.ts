// What a model asks of its server: a text to continue, or one to embed.
import type { Page } from '../forward/page-table.js';
import type { GenerationStream } from '../generation/generation.js';
import type { GenerationRequest } from '../generation/request.js';
import type { Turn } from '../generation/turn-options.js';
import type { PageLayout } from '../ops/paged/key-value-pages.js';
import type { Pooling } from '../ops/rowwise/pool-rows.js';

/** A session's tokens, whose keys and values are lent to a generation that goes on from them. */
export interface LentSequence {
  /** Pages of the first `computed` of the prompt's ids. */
  readonly pages: Page[];
  readonly computed: number;
  /** How the pages hold keys and values. */
  readonly layout: PageLayout;
  /** Takes them back, with those that came. `ids`: the prompt, and the tokens that were accepted. */
  readonly giveBack: (ids: readonly number[], pages: Page[], computed: number, isComplete: boolean) => void;
}

/** A request to generate, and where its pieces go. */
export interface GenerationJob {
  readonly request: GenerationRequest;
  readonly stream: GenerationStream;
  readonly turn: Turn;
  /** It answers a conversation. */
  readonly isChat: boolean;
  readonly loadMs: number;
  /** When it was asked for, by performance.now(). */
  readonly askedAt: number;
  /** Shares cached prefixes with those of the same salt; by default with all of the model, where prefixes are cached. */
  readonly salt?: string | undefined;
  /** It goes on from what a session has computed. */
  readonly lent?: LentSequence | undefined;
  /** It is one of many of its call: it waits for room in the queue, and never sees ERR_QUEUE_FULL. */
  readonly isPatient?: boolean | undefined;
}

export interface EmbeddingJob {
  /** When it was asked for, by performance.now(). */
  readonly askedAt: number;
  /** Checked to fit into the context. */
  readonly ids: readonly number[];
  readonly pooling: Pooling;
  readonly turn: Turn;
  readonly signal: AbortSignal | undefined;
  readonly isPatient?: boolean | undefined;
}
