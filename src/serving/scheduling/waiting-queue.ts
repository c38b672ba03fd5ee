// The requests that wait to be admitted: by priority with aging, fair between tenants by tokens, and by deadline within a
// tenant. Pure: it is given the time. Used by the scheduler.
import { TesseraeError } from '../../base/errors.js';
import type { ScheduledRequest } from './scheduled-request.js';

/** Waiting for so long raises a request by one step of priority. */
const agingMs = 1000;
/** A request without a deadline is ordered as if it had one so long after its arrival: it never waits for ever. */
const patienceMs = 30_000;

/** The requests of one tenant and priority, the one to take first at the front of a binary heap. */
class Line {
  readonly priority: number;
  readonly tenant: string;
  readonly #heap: ScheduledRequest[] = [];

  constructor(priority: number, tenant: string) {
    this.priority = priority;
    this.tenant = tenant;
  }

  get size(): number {
    return this.#heap.length;
  }

  get first(): ScheduledRequest | undefined {
    return this.#heap[0];
  }

  values(): readonly ScheduledRequest[] {
    return this.#heap;
  }

  push(request: ScheduledRequest): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(request, heap[parent] as ScheduledRequest)) break;
      heap[at] = heap[parent] as ScheduledRequest;
      at = parent;
    }
    heap[at] = request;
  }

  remove(request: ScheduledRequest): boolean {
    const heap = this.#heap;
    const at = heap.indexOf(request);
    if (at === -1) return false;
    const last = heap.pop() as ScheduledRequest;
    if (at === heap.length) return true;
    heap[at] = last;
    this.#sink(at);
    this.#rise(at);
    return true;
  }

  #sink(start: number): void {
    const heap = this.#heap;
    let at = start;
    for (;;) {
      let least = 2 * at + 1;
      if (least >= heap.length) return;
      const right = least + 1;
      if (right < heap.length && isBefore(heap[right] as ScheduledRequest, heap[least] as ScheduledRequest))
        least = right;
      if (!isBefore(heap[least] as ScheduledRequest, heap[at] as ScheduledRequest)) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #rise(start: number): void {
    const heap = this.#heap;
    let at = start;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(heap[at] as ScheduledRequest, heap[parent] as ScheduledRequest)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    const request = heap[a] as ScheduledRequest;
    heap[a] = heap[b] as ScheduledRequest;
    heap[b] = request;
  }
}

function isBefore(a: ScheduledRequest, b: ScheduledRequest): boolean {
  const difference = dueAt(a) - dueAt(b);
  return difference === 0 ? a.number < b.number : difference < 0;
}

function dueAt({ deadlineAt, arrivedAt }: ScheduledRequest): number {
  return Math.min(deadlineAt ?? Number.POSITIVE_INFINITY, arrivedAt + patienceMs);
}

export class WaitingQueue {
  readonly #most: number;
  readonly #lines = new Map<string, Line>();
  /** Tokens computed for each tenant that has work, counted from that of the tenant that has had least. */
  readonly #served = new Map<string, number>();
  #size = 0;
  /** Of those that were never admitted: how many waited for room before they came, and how many did not. */
  readonly #newcomers = { patient: 0, others: 0 };

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#size;
  }

  /** Those that waited for room before they came. They keep no others out. */
  get patient(): number {
    return this.#newcomers.patient;
  }

  /** @throws TesseraeError ERR_QUEUE_FULL, unless the request comes back, or waited before it came */
  push(request: ScheduledRequest): void {
    const { others } = this.#newcomers;
    if (others >= this.#most && !request.isPatient && request.admittedAt === undefined) {
      const message = `${others} requests are waiting, as many as serving.maxQueued allows`;
      throw new TesseraeError('ERR_QUEUE_FULL', message);
    }
    this.#count(request, 1);
    const key = `${request.priority} ${request.tenant}`;
    let line = this.#lines.get(key);
    if (line === undefined) {
      line = new Line(request.priority, request.tenant);
      this.#lines.set(key, line);
    }
    line.push(request);
    this.#size++;
    if (this.#served.has(request.tenant)) return;
    // A newcomer is as far as the tenant that has had least: it makes up for nothing.
    this.#served.set(request.tenant, this.#served.size === 0 ? 0 : Math.min(...this.#served.values()));
  }

  remove(request: ScheduledRequest): boolean {
    const key = `${request.priority} ${request.tenant}`;
    const line = this.#lines.get(key);
    if (line === undefined || !line.remove(request)) return false;
    if (line.size === 0) this.#lines.delete(key);
    this.#size--;
    this.#count(request, -1);
    return true;
  }

  #count({ isPatient, admittedAt }: ScheduledRequest, by: 1 | -1): void {
    if (admittedAt === undefined) this.#newcomers[isPatient ? 'patient' : 'others'] += by;
  }

  /**
   * Those that may be admitted next, the best first: one for each tenant and priority. They stay in the queue.
   */
  candidates(now: number): ScheduledRequest[] {
    const firsts = [...this.#lines.values()].map((line) => line.first as ScheduledRequest);
    return firsts.length < 2 ? firsts : firsts.sort((a, b) => this.#order(a, b, now));
  }

  /** Counts tokens for a tenant. */
  serve(tenant: string, tokens: number): void {
    const served = this.#served.get(tenant);
    if (served !== undefined) this.#served.set(tenant, served + tokens);
  }

  /**
   * Counts the positions of a request before `end` for its tenant, each once: a preemption costs its tenant nothing. A prompt
   * counts when it is admitted. If it counted when it is computed, all places that are free would go to the tenant that has had
   * less, even by one token.
   */
  charge(request: ScheduledRequest, end: number): void {
    if (end <= request.charged) return;
    this.serve(request.tenant, end - request.charged);
    request.charged = end;
  }

  /** Takes back what was counted for a request and was never computed. */
  refund(request: ScheduledRequest): void {
    const ahead = request.charged - Math.max(request.computed, request.reached);
    this.serve(request.tenant, -ahead);
    request.charged -= ahead;
  }

  /** A tenant has no request any more: its count begins anew when it comes back. */
  forget(tenant: string): void {
    for (const line of this.#lines.values()) if (line.tenant === tenant) return;
    this.#served.delete(tenant);
  }

  /** All that wait, in no order. */
  *values(): Generator<ScheduledRequest, void> {
    for (const line of this.#lines.values()) yield* line.values();
  }

  #order(a: ScheduledRequest, b: ScheduledRequest, now: number): number {
    const priority = effective(b, now) - effective(a, now);
    if (priority !== 0) return priority;
    const served = (this.#served.get(a.tenant) ?? 0) - (this.#served.get(b.tenant) ?? 0);
    if (served !== 0) return served;
    return isBefore(a, b) ? -1 : 1;
  }
}

function effective({ priority, arrivedAt }: ScheduledRequest, now: number): number {
  return priority + Math.floor((now - arrivedAt) / agingMs);
}
