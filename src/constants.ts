// The numbers and texts that native/core/layout.h and native/include/haft.h decide, made by
// `node scripts/make-constants.mjs`. Do not edit.

export const VERSION_MAJOR = 1;
export const VERSION_MINOR = 4;
export const SHARDS = 16;
export const BLOCK_BITS = 10;
export const BLOCK_SLOTS = 1024;
export const RING_CELLS = 1024;
export const RING_BYTES = 65792;
export const REALM_BYTES = 2114176;
export const ARMED = 64;
export const DIRTY = 68;
export const EXCHANGE = 3712;
export const EXCHANGE_WORDS = 2048;
export const EXCHANGE_HANDLE = 0;
export const EXCHANGE_STATUS = 2;
export const EXCHANGE_FLAG = 3;
export const EXCHANGE_NUMBER = 4;
export const EXCHANGE_THROWN = 6;
export const EXCHANGE_CALLED = 7;
export const EXCHANGE_MISUSES = 8;
export const EXCHANGE_LIST = 16;
export const EXCHANGE_WAKE = 1024;
export const DIRECT = 11904;
export const DIRECT_REPLY = 12928;
export const REQUEST_SERVE = 1;
export const REPLIES = 13184;
export const REPLY_BYTES = 256;
export const REPLY_SLEEPER = 4;
export const REPLY_STATUS = 8;
export const REPLY_TYPE = 12;
export const REPLY_VALUE = 16;
export const REPLY_LENGTH = 24;
export const REPLY_IN_HEAP = 28;
export const REPLY_TEXT = 48;
export const REPLY_INLINE_BYTES = 208;
export const REPLY_NUMBER_BITS = 12;
export const RINGS = 1061504;
export const RING_TAIL = 0;
export const RING_HEAD = 64;
export const RING_SPACE_WANTED = 68;
export const RING_FIRST_CELL = 256;
export const RING_DELIVERED = 192;
export const RING_DECLINED = 200;
export const RING_WAITING = 208;
export const RING_FILL = 216;
export const EVENT_WAITERS = 256;
export const SCRIPT_WAITS = 264;
export const EVENT_COUNTS = 272;
export const CELL_BYTES = 64;
export const CELL_OP = 4;
export const CELL_HANDLE = 8;
export const CELL_ARGS = 16;
export const CELL_SHAPE = 56;
export const CELL_REPLY = 60;
export const HEAP_TAIL_CHUNK = 8;
export const INLINE_ARGS = 5;
export const SHAPE_COUNT_SHIFT = 20;
export const SHAPE_CELLS_SHIFT = 25;
export const SHAPE_HEAP_BIT = 1073741824;
export const WORD_GENERATION_SHIFT = 6;
export const WORD_STATE_SHIFT = 3;
export const STATE_LIVE = 1;
export const STATE_COLLECTED = 5;
export const REPLY_SEQUENCE_SHIFT = 2;
export const REPLY_SEQUENCE_MASK = 1048575;
export const REPLY_STARTED = 1;
export const REPLY_DONE = 0;
export const REPLY_LATER = 3;
export const GIVEN_UP = 260;
export const HOST_DONE = 448;
export const HOST_PROMISE = 0;
export const HOST_SYNC = 1;
export const HOST_SYNC_DEAF = 2;
export const WIRE_U64 = 9;
export const WIRE_TEXT = 10;
export const WIRE_I8 = 11;
export const WIRE_U8 = 12;
export const WIRE_I16 = 13;
export const WIRE_U16 = 14;
export const WIRE_F32 = 15;
export const ASCII_FLAG = 2147483648;
export const KIND_SHIFT = 22;
export const KINDS = 8192;
export const KIND_NAME_BYTES = 160;
export const NAME_BYTES = 112;
export const NAMES = 1024;
export const ARGS_MAX = 16;
export const PAYLOAD_MAX = 16777216;
export const REFERENCES_MAX = 4194303;

export const STATUSES = {
  HAFT_OK: { status: 0, message: 'success', next: '' },
  HAFT_E_FORGED: { status: -1, message: 'the value was never issued as a handle', next: 'pass the integer unchanged, as uint64_t; a truncated or computed value is not a handle' },
  HAFT_E_STALE: { status: -2, message: 'the handle\'s object was released or deleted', next: 'retain the handle for as long as it is used, and drop it after the last release' },
  HAFT_E_KIND: { status: -3, message: 'the handle names an object of another kind', next: 'use an op of the handle\'s own kind, or look the kind up with haft_kind_of' },
  HAFT_E_REALM: { status: -4, message: 'the handle belongs to another realm', next: 'use the handle with the registry that created it' },
  HAFT_E_CLOSED: { status: -5, message: 'the realm is closed', next: 'stop using its handles; a new realm issues new ones' },
  HAFT_E_FORKED: { status: -6, message: 'the process is a forked child, where no JavaScript runs', next: 'use haft in the parent only, or call exec in the child' },
  HAFT_E_OVERFLOW: { status: -7, message: 'the handle has as many references as it can count (4194303)', next: 'look for a retain without a release' },
  HAFT_E_SLOTS: { status: -8, message: 'the table has no free place left: for handles, realms, kinds, names or queues', next: 'release or delete handles and close registries that are no longer used' },
  HAFT_E_FULL: { status: -9, message: 'the mailbox is full', next: 'wait with HAFT_BLOCK, drop with HAFT_DROP_NEWEST, or post less' },
  HAFT_E_NO_MEMORY: { status: -10, message: 'there is no room for the strings and bytes of the message', next: 'try again when earlier messages have been handled, or send smaller ones' },
  HAFT_E_TOO_LARGE: { status: -11, message: 'the strings and bytes of the message exceed HAFT_PAYLOAD_MAX', next: 'send it in parts' },
  HAFT_E_TIMEOUT: { status: -12, message: 'the time ran out', next: 'allow more time, or look for a handler that does not return' },
  HAFT_E_EXCEPTION: { status: -13, message: 'the JavaScript handler threw', next: 'read haft_last_error() for its name, message and stack' },
  HAFT_E_RESULT: { status: -14, message: 'the JavaScript handler returned a value that is not of the declared type', next: 'return what the kind declares under `returns`' },
  HAFT_E_DEADLOCK: { status: -15, message: 'the wait could never end: the thread waits for itself, or realms wait in a circle', next: 'on the realm\'s own thread post without HAFT_BLOCK; call asynchronous handlers from another thread' },
  HAFT_E_OP: { status: -16, message: 'the kind has no such op', next: 'look the op up with haft_op_find' },
  HAFT_E_ARGUMENT: { status: -17, message: 'an argument has an impossible value', next: 'see the function\'s description in haft.h' },
  HAFT_E_UTF8: { status: -18, message: 'a string is not valid UTF-8', next: 'pass HAFT_BYTES for data that is not text' },
  HAFT_E_NOT_FOUND: { status: -19, message: 'nothing has that name', next: 'check the spelling, and that JavaScript defined it first' },
  HAFT_E_ABI: { status: -20, message: 'the two sides were built for different versions', next: 'rebuild the plugin against the header and the kinds that are in use' },
  HAFT_E_UNSUPPORTED: { status: -21, message: 'this version of haft does not have that function', next: 'update haft, or check the size of haft_api before the call' },
  HAFT_E_BUSY: { status: -22, message: 'too many calls are waiting for a reply', next: 'let some of them finish, or post instead' },
  HAFT_E_INTERNAL: { status: -23, message: 'the operating system refused something haft needs', next: 'read haft_last_error()' },
  HAFT_E_MOVED: { status: -24, message: 'the object was moved to another realm', next: 'ask haft_moved for its new handle' },
  HAFT_E_BREAKER: { status: -25, message: 'the breaker of the handle\'s kind is open: its handlers failed too often in a row', next: 'try again after the time that the kind allows, and look at what the handlers threw' },
  HAFT_E_BACKEND: { status: -26, message: 'haft runs without its addon, and koffi alone cannot do that', next: 'build the addon, or see docs/backends.md for what works without it' },
  HAFT_E_OWNER: { status: -27, message: 'the reference or the memory is not the caller\'s to give back', next: 'give back what you were given, and once: a retain, a handle that was found or returned, a result' },
  HAFT_E_COLLECTED: { status: -28, message: 'the object of the weak handle was collected', next: 'release the handle; who needs the object to stay asks for a handle that is not weak' },
  HAFT_E_DETACHED: { status: -29, message: 'the buffer\'s memory has gone elsewhere, or may move', next: 'pin a buffer that is neither transferred, nor detached, nor resizable, and leave it so until unpin' },
} as const;

/** The pointer rules, each with the code of its breach: docs/pointer-rules.md. */
export const RULES = [
  { number: 1, code: 'HAFT_E_FORGED', rule: 'a handle travels unchanged, as 64 bits' },
  { number: 2, code: 'HAFT_E_STALE', rule: 'who keeps a handle beyond the call holds a reference of its own' },
  { number: 3, code: 'HAFT_E_OWNER', rule: 'a reference is given back once, by the side that owns it' },
  { number: 4, code: 'HAFT_E_OWNER', rule: 'a result is its receiver\'s: freed once, and nothing else is freed as one' },
  { number: 5, code: 'HAFT_E_KIND', rule: 'an op goes to objects of its own kind' },
  { number: 6, code: 'HAFT_E_OP', rule: 'an op is one that its kind has' },
  { number: 7, code: 'HAFT_E_ARGUMENT', rule: 'arguments are as many as the op declares, and of its types' },
  { number: 8, code: 'HAFT_E_UTF8', rule: 'a string is UTF-8, and counted' },
  { number: 9, code: 'HAFT_E_REALM', rule: 'a handle is used in its own realm, and the realm\'s thread for what is the thread\'s own' },
  { number: 10, code: 'HAFT_E_RESULT', rule: 'a handler returns what its op declares' },
  { number: 11, code: 'HAFT_E_DETACHED', rule: 'memory that C keeps is pinned, and what is borrowed ends with the handler' },
  { number: 12, code: 'HAFT_E_COLLECTED', rule: 'a weak handle keeps nothing alive' },
  { number: 13, code: 'HAFT_E_MOVED', rule: 'a moved object is reached by its new handle' },
  { number: 14, code: 'HAFT_E_ABI', rule: 'C is built for the header and the kinds that are there' },
  { number: 15, code: 'HAFT_E_DEADLOCK', rule: 'no thread waits for itself' },
  { number: 16, code: 'HAFT_E_CLOSED', rule: 'nothing outlives its realm' },
  { number: 17, code: 'HAFT_E_FORKED', rule: 'a forked child leaves haft alone' },
  { number: 18, code: 'HAFT_E_OVERFLOW', rule: 'every retain has its release' },
] as const;
