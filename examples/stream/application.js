// application.js: the stream's objects in JavaScript, published for the host to hold by handle.
//
// Its logic, five functions, comes from a module of the user's: `--logic FILE`.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { kind } from 'haft';

export const DEFAULT_LOGIC = fileURLToPath(new URL('./logic/flights.js', import.meta.url));

const FUNCTIONS = ['decode', 'partition', 'state', 'compute', 'encode'];

/** What the user's functions make, whatever it is. It has no ops of its own: C carries it from one object to the next. */
class Box {
  constructor(value) {
    this.value = value;
  }
}
class StreamRecord extends Box {}
class StreamState extends Box {}

const RecordKind = kind(StreamRecord, {});
const StateKind = kind(StreamState, {});

/** One object of the stream: a function of the logic, given and giving handles. */
class Step {
  constructor(registry, logic) {
    this.registry = registry;
    this.logic = logic;
  }
}

/** From a line to a record. */
class Decoder extends Step {
  decode(line, lineNumber) {
    return this.registry.create(new StreamRecord(this.logic.decode(line, lineNumber)), RecordKind);
  }
}

/** From a record to its key. */
class Partition extends Step {
  partition(record) {
    return this.logic.partition(this.registry.get(record, RecordKind).value);
  }
}

/** From a key to its first state. */
class States extends Step {
  state(key) {
    return this.registry.create(new StreamState(this.logic.state(key)), StateKind);
  }
}

/** From a record to what it does to its key's state. */
class Computation extends Step {
  compute(state, record) {
    this.logic.compute(
      this.registry.get(state, StateKind).value,
      this.registry.get(record, RecordKind).value,
    );
  }
}

/** From a state to the result that is printed. */
class Encoder extends Step {
  encode(key, state) {
    return this.logic.encode(key, this.registry.get(state, StateKind).value);
  }
}

const DecoderKind = kind(Decoder, { decode: { args: ['str', 'u32'], returns: 'handle' } });
const PartitionKind = kind(Partition, { partition: { args: ['handle'], returns: 'str' } });
const StatesKind = kind(States, { state: { args: ['str'], returns: 'handle' } });
const ComputationKind = kind(Computation, { compute: { args: ['handle', 'handle'], returns: 'void' } });
const EncoderKind = kind(Encoder, { encode: { args: ['str', 'handle'], returns: 'str' } });

/** The logic of a module: its five functions, and where it names one, its usual input. */
export async function loadLogic(file) {
  const path = resolve(file);
  if (!existsSync(path)) throw new Error(`the logic module ${file} does not exist`);
  const module = await import(pathToFileURL(path)).catch((error) => {
    throw new Error(`the logic module ${file} does not load: ${error?.message ?? error}`);
  });
  const logic = module.default;
  if (typeof logic !== 'object' || logic === null) {
    throw new Error(`the logic module ${file} has no object as its default export`);
  }
  const missing = FUNCTIONS.filter((name) => typeof logic[name] !== 'function');
  if (missing.length > 0) throw new Error(`the logic module ${file} lacks ${missing.join(', ')}`);
  return { logic, input: module.input };
}

/** Publishes the five objects. Returns their handles, for whoever deletes them after the run. */
export function publish(registry, logic) {
  const objects = {
    decoder: registry.create(new Decoder(registry, logic), DecoderKind),
    partition: registry.create(new Partition(registry, logic), PartitionKind),
    states: registry.create(new States(registry, logic), StatesKind),
    computation: registry.create(new Computation(registry, logic), ComputationKind),
    encoder: registry.create(new Encoder(registry, logic), EncoderKind),
  };
  for (const [name, handle] of Object.entries(objects)) registry.publish(name, handle);
  return Object.values(objects);
}

/** For `haft run build/Release/stream_host.so examples/stream/application.js -- --input FILE [--logic FILE]`. */
export default async function application(registry, args) {
  const at = args.indexOf('--logic');
  const { logic } = await loadLogic(at >= 0 ? args[at + 1] : DEFAULT_LOGIC);
  publish(registry, logic);
}
