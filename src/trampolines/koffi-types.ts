// Types that only koffi knows, and whether a value is of one. koffi ends the process over a callback's result that is not,
// and over a type of another copy of itself; so haft looks first.
import { type Koffi, koffi } from '../koffi.js';

type KoffiType = ReturnType<Koffi['type']>;

/** The type that koffi knows by this name, or as this object; `undefined` if it knows none, or it is another copy's. */
export function koffiTypeOf(type: unknown): KoffiType | undefined {
  const known = koffi();
  if (typeof type === 'object' && type !== null) {
    const isOwn = Object.getPrototypeOf(type) === Object.getPrototypeOf(known.type('int'));
    return isOwn ? (type as KoffiType) : undefined;
  }
  if (typeof type !== 'string') return undefined;
  try {
    return known.type(type);
  } catch {
    return undefined;
  }
}

/** Whether koffi can make a C value of this type of it. */
export function isOfKoffiType(type: KoffiType, value: unknown): boolean {
  switch (type.primitive) {
    case 'Void':
      return true;
    case 'Bool':
      return typeof value === 'boolean';
    case 'Float32':
    case 'Float64':
      return typeof value === 'number';
    case 'String':
    case 'String16':
      return value === null || typeof value === 'string';
    case 'Record': {
      if (typeof value !== 'object' || value === null) return false;
      const fields = value as Record<string, unknown>;
      return Object.values(type.members ?? {}).every((member) =>
        isOfKoffiType(member.type, fields[member.name]),
      );
    }
    case 'Array': {
      if (typeof value === 'string') return type.hint === 'String';
      const items = value as ArrayLike<unknown> | null;
      if (typeof value !== 'object' || items === null || items.length !== type.length) return false;
      return ArrayBuffer.isView(value) || Array.from(items).every((item) => isOfKoffiType(type.ref!, item));
    }
    case 'Union':
      return value instanceof (koffi().Union as unknown as new () => object);
    case 'Pointer':
    case 'Callback':
      return value === null || typeof value === 'bigint';
    case 'Prototype':
      return false;
    default: // integers of all sizes
      return Number.isSafeInteger(value) || typeof value === 'bigint';
  }
}
