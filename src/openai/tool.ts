// A function that the model may call, as bodies describe it. Used by tools.ts and call-formats.ts.

export interface Tool {
  readonly type: 'function';
  readonly function: { readonly name: string; readonly [member: string]: unknown };
}
