// A method of one object, replaced for a while. Several may lie over one another, and end in any order.

type Method = (...args: never[]) => unknown;
type Layer = (inner: Method) => Method;

const overlaid = new WeakMap<object, Map<string, Layer[]>>();

/**
 * From now on `layer` makes what `object[name]` is, of what it is without. The result takes it away again; with the last
 * layer the object has no such property of its own any more.
 */
export function overlay<M extends Method>(object: object, name: string, layer: (inner: M) => M): () => void {
  const methods = overlaid.get(object) ?? new Map<string, Layer[]>();
  overlaid.set(object, methods);
  const layers = methods.get(name) ?? [];
  methods.set(name, layers);
  const ours = (inner: Method) => layer(inner as M);
  layers.push(ours);
  rebuild(object, name, layers);
  return () => {
    const at = layers.indexOf(ours);
    if (at < 0) return;
    layers.splice(at, 1);
    rebuild(object, name, layers);
  };
}

/** How many layers lie over a method. */
export function layersOf(object: object, name: string): number {
  return overlaid.get(object)?.get(name)?.length ?? 0;
}

function rebuild(object: object, name: string, layers: readonly Layer[]): void {
  Reflect.deleteProperty(object, name);
  if (layers.length === 0) return;
  const method = Reflect.get(object, name) as Method;
  const value = layers.reduce<Method>((inner, layer) => layer(inner), method.bind(object));
  Object.defineProperty(object, name, { value, configurable: true, writable: true, enumerable: false });
}
