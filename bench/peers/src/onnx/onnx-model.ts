// Encodes ONNX models: as much of protocol buffers and of onnx.proto (field numbers are in the comments) as graphs of a
// few nodes over f32 tensors need. Called by peers/onnxruntime.ts.

export interface OnnxNode {
  readonly op: string;
  readonly domain?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
}

export type OnnxAttribute = { readonly int: number } | { readonly ints: readonly number[] };

export interface OnnxValue {
  readonly name: string;
  readonly dims: readonly number[];
}

/** An input or output. */
export interface OnnxPort {
  readonly name: string;
  /** A name in place of a number: a size that may differ from run to run. */
  readonly dims: readonly (number | string)[];
  /** f32 by default. */
  readonly type?: 'i32';
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxPort[];
  readonly outputs: readonly OnnxPort[];
  /** Constants. */
  readonly initializers?: readonly (OnnxValue & { readonly data: Float32Array | BigInt64Array })[];
}

/** A graph whose inputs and outputs have the same sizes in every run. */
export interface FixedGraph extends OnnxGraph {
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

/** A graph whose one output is `y`, its inputs, and how its output is brought into our layout. */
export interface Formulation {
  readonly how: string;
  /** Uses the newer node of ai.onnx instead of those of com.microsoft; it is measured as a peer of its own. */
  readonly isStandard?: boolean;
  readonly graph: FixedGraph;
  readonly feeds: Readonly<Record<string, Float32Array>>;
  /** Brings the output into our layout. */
  readonly toOurs: (y: Float32Array) => Float32Array;
}

/** ai.onnx operator set; 23 is the first with Attention. */
const opset = 23;
const irVersion = 10;

const float = 1;
const int32 = 6;
const int64 = 7;
const attributeInt = 2;
const attributeInts = 7;

/** ModelProto: ir_version 1, graph 7, opset_import 8 (OperatorSetIdProto: domain 1, version 2). */
export function encodeModel(graph: OnnxGraph): Uint8Array {
  return Buffer.concat([
    integer(1, irVersion),
    bytes(7, encodeGraph(graph)),
    bytes(8, Buffer.concat([text(1, ''), integer(2, opset)])),
    bytes(8, Buffer.concat([text(1, 'com.microsoft'), integer(2, 1)])),
  ]);
}

/** GraphProto: node 1, name 2, initializer 5, input 11, output 12. */
function encodeGraph({ nodes, inputs, outputs, initializers = [] }: OnnxGraph): Buffer {
  return Buffer.concat([
    ...nodes.map((node) => bytes(1, encodeNode(node))),
    text(2, 'graph'),
    ...initializers.map((entry) => bytes(5, encodeTensor(entry.name, entry.dims, entry.data))),
    ...inputs.map((value) => bytes(11, encodeValue(value))),
    ...outputs.map((value) => bytes(12, encodeValue(value))),
  ]);
}

/** NodeProto: input 1, output 2, op_type 4, attribute 5, domain 7. */
function encodeNode({ op, domain = '', inputs, outputs, attributes = {} }: OnnxNode): Buffer {
  return Buffer.concat([
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, op),
    ...Object.entries(attributes).map(([name, value]) => bytes(5, encodeAttribute(name, value))),
    text(7, domain),
  ]);
}

/** AttributeProto: name 1, i 3, ints 8, type 20. */
function encodeAttribute(name: string, value: OnnxAttribute): Buffer {
  return Buffer.concat(
    'int' in value
      ? [text(1, name), integer(3, value.int), integer(20, attributeInt)]
      : [text(1, name), ...value.ints.map((entry) => integer(8, entry)), integer(20, attributeInts)],
  );
}

/** TensorProto: dims 1, data_type 2, name 8, raw_data 9. */
function encodeTensor(name: string, dims: readonly number[], data: Float32Array | BigInt64Array): Buffer {
  return Buffer.concat([
    ...dims.map((size) => integer(1, size)),
    integer(2, data instanceof Float32Array ? float : int64),
    text(8, name),
    bytes(9, Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
  ]);
}

/**
 * ValueInfoProto: name 1, type 2 (TypeProto: tensor_type 1, of elem_type 1 and shape 2, whose dim 1 has dim_value 1 or
 * dim_param 2).
 */
function encodeValue({ name, dims, type }: OnnxPort): Buffer {
  const size = (dim: number | string) => (typeof dim === 'number' ? integer(1, dim) : text(2, dim));
  const shape = Buffer.concat(dims.map((dim) => bytes(1, size(dim))));
  const tensor = Buffer.concat([integer(1, type === 'i32' ? int32 : float), bytes(2, shape)]);
  return Buffer.concat([text(1, name), bytes(2, bytes(1, tensor))]);
}

/** A field of wire type 0. */
function integer(field: number, value: number): Buffer {
  return Buffer.concat([varint(field << 3), varint(value)]);
}

/** A field of wire type 2. */
function bytes(field: number, content: Uint8Array): Buffer {
  return Buffer.concat([varint((field << 3) | 2), varint(content.byteLength), content]);
}

function text(field: number, content: string): Buffer {
  return bytes(field, Buffer.from(content));
}

/** Seven bits a byte, the lowest first; the top bit of a byte is set if more follow. */
function varint(value: number): Buffer {
  const result: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    result.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return Buffer.from([...result, rest]);
}
