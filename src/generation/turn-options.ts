// The options that decide when a request has its turn, checked. Called by the model for everything that it serves.
import { TesseraeError } from '../base/errors.js';
import { checkPositive, checkRange } from '../base/options.js';

export interface TurnOptions {
  /** −100 to 100, higher first; 0 by default. Waiting raises it with time. */
  readonly priority?: number | undefined;
  /** From the call to the complete result, in ms, at least 1; later it fails with ERR_DEADLINE. */
  readonly deadlineMs?: number | undefined;
  /** Whom the request is for: tenants share the model fairly, by tokens. 1 to 256 characters. */
  readonly tenant?: string | undefined;
}

export const turnKeys = ['priority', 'deadlineMs', 'tenant'] as const;
const highestPriority = 100;
const longestTenant = 256;

export interface Turn {
  readonly priority: number;
  readonly tenant: string;
  /** By performance.now(). */
  readonly deadlineAt: number | undefined;
}

/** @throws TesseraeError ERR_DEADLINE when its time has passed */
export function checkDeadline({ deadlineAt }: Turn, op: string): void {
  if (deadlineAt === undefined || performance.now() < deadlineAt) return;
  throw new TesseraeError('ERR_DEADLINE', 'the request was not complete within its deadlineMs', { op });
}

/** @throws TesseraeError ERR_ARGUMENT */
export function turnOf({ priority, deadlineMs, tenant }: TurnOptions, op: string, askedAt: number): Turn {
  if (tenant !== undefined && (typeof tenant !== 'string' || tenant.length < 1 || tenant.length > longestTenant)) {
    throw new TesseraeError('ERR_ARGUMENT', `tenant must be a string of 1 to ${longestTenant} characters`, { op });
  }
  return {
    priority: checkRange(priority, 'priority', op, -highestPriority, highestPriority) ?? 0,
    tenant: tenant ?? '',
    deadlineAt: deadlineMs === undefined ? undefined : askedAt + checkPositive(deadlineMs, 'deadlineMs', op),
  };
}
