import { ModelProto } from '#compiler/import/onnx/generated/onnx-proto.js';

/** A model with its external data in the file. */
export function withWeightsInside(bytes: Uint8Array, weights: Uint8Array): Uint8Array {
  const model = ModelProto.decode(bytes);
  const { graph } = model;
  if (!graph) throw new Error('no graph');
  const initializer = graph.initializer.map((t) => {
    if (t.dataLocation !== 1) return t;
    const entry = (key: string) => Number(t.externalData.find((e) => e.key === key)?.value);
    const rawData = weights.subarray(entry('offset'), entry('offset') + entry('length'));
    return { name: t.name, dims: t.dims, dataType: t.dataType, rawData };
  });
  const { name, node, input, output } = graph;
  return ModelProto.encode({
    irVersion: model.irVersion,
    opsetImport: model.opsetImport,
    graph: { name, node, input, output, initializer },
  });
}
