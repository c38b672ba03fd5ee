// What every endpoint is given besides the body of its request.
import type { Places } from '../places.js';
import type { ServedModels } from '../served-models.js';
import type { ServerSettings } from '../server-options.js';

export interface EndpointContext {
  readonly settings: ServerSettings;
  readonly models: ServedModels;
  readonly places: Places;
  /** Fires when the client goes away, or the server closes. */
  readonly signal: AbortSignal;
  /** Whom the request is for, where clients have keys: they share the models fairly. */
  readonly tenant: string | undefined;
}
