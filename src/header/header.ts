// The text of a typed header: what `haft header` makes of the kinds that a module exports. It depends on the kinds alone,
// so that it can be committed: no dates, no paths, and the same order whatever the order of the exports.
import { fingerprintOf, type Kind, type Signature, signatureText, type TypeName } from '../kind.js';
import { Problem } from '../problem.js';

export interface HeaderOptions {
  /** Before all names of C, and in capitals before those of C++: `app_`. */
  readonly prefix?: string;
}

/** How a type is written on each side. */
interface Wire {
  /** The parameters of an argument, `$` for its name; and what makes the haft_value. */
  readonly parameters: string;
  readonly make: string;
  /** Of a result in C; `void` has none. */
  readonly result: string;
  /** In a signature of haft.hpp, as its argument, and as its result. */
  readonly cpp: readonly [signature: string, argument: string, result: string];
}

const number = (type: string, name: string): Wire => ({
  parameters: `${type} $`,
  make: `haft_value_${name}($)`,
  result: type,
  cpp: [type, type, type],
});

const WIRES: Readonly<Record<TypeName, Wire>> = {
  void: { parameters: '', make: '', result: '', cpp: ['void', '', 'void'] },
  f64: number('double', 'f64'),
  i32: number('int32_t', 'i32'),
  u32: number('uint32_t', 'u32'),
  i64: number('int64_t', 'i64'),
  bool: number('bool', 'bool'),
  handle: {
    ...number('haft_handle', 'handle'),
    cpp: ['haft::ref', 'haft::borrow', 'haft::ref'],
  },
  str: {
    parameters: 'const char *$, size_t $_length',
    make: 'haft_value_str($, $_length)',
    result: 'haft_str',
    cpp: ['std::string', 'std::string_view', 'std::string'],
  },
  bytes: {
    parameters: 'const void *$, size_t $_length',
    make: 'haft_value_bytes($, $_length)',
    result: 'haft_bytes',
    cpp: ['haft::bytes', 'haft::bytes_view', 'haft::bytes'],
  },
};

// Of C23 and C++23, with the words that stand for operators and the macros of their headers.
const KEYWORDS: ReadonlySet<string> = new Set(
  `alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class co_await
  co_return co_yield compl complex concept const const_cast consteval constexpr constinit continue decltype default delete
  do double dynamic_cast else enum errno explicit export extern false float for friend goto if imaginary inline int long
  mutable namespace new noexcept noreturn not not_eq nullptr operator or or_eq private protected public register
  reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast struct switch template
  this thread_local throw true try typedef typeid typename typeof typeof_unqual union unsigned using virtual void volatile
  wchar_t while xor xor_eq linux unix assert stdin stdout stderr offsetof`.split(/\s+/),
);

// Functions, variables and structs of the C library that a class is likely to share its name with: the compiler knows some
// of them without any header. And the namespace of C++.
const LIBRARY: ReadonlySet<string> = new Set(
  `abort abs accept access acos alarm asctime asin atan atexit atof atoi atol basename bind calloc cbrt ceil chdir chmod
  chown clock close connect cos cosh creat ctime daylight difftime dirent dirname div dup environ erf exec exit exp fabs
  fdim fileno flock floor fma fmax fmin fmod fork free frexp gamma getc getenv getline gets gmtime group hostent hypot index
  ioctl iovec j0 j1 jn kill ldexp ldiv linger link listen localtime lockf log logb lseek malloc memcpy mkdir mktime modf
  mount msghdr nan nice open optarg optind option passwd pause perror pipe poll pollfd pow printf putc puts qsort raise rand
  random read realloc recv remainder remove rename rewind rindex rint rlimit rmdir round rusage scanf select send setenv
  setlocale shutdown sigaction signal signbit sin sinh sleep sockaddr socket sqrt srand stat statx std strcat strdup strlen
  strtol swab sync syscall sysconf system tan tanh time timespec timeval timezone tm trunc truncate tzname umask ungetc
  unlink usleep vfork wait warn write y0 y1 yn`.split(/\s+/),
);

// What a header has for every kind, in C and as members in C++.
const OWN: ReadonlySet<string> = new Set(['bind', 'op', 'from', 'find', 'retain', 'release', 'known']);
const MEMBERS: ReadonlySet<string> = new Set(['get', 'reference', 'reference_', 'method']);

/** `httpServer`, `HTTPServer` and `http.server` are http_server. */
function snakeOf(name: string): string {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll(/([A-Z]+)([A-Z][a-z])/g, '$1_$2')
    .replaceAll(/[^A-Za-z0-9]+/g, '_')
    .replaceAll(/^_|_$/g, '')
    .toLowerCase();
}

const pascalOf = (snake: string) => snake.replaceAll(/(?:^|_)([a-z0-9])/g, (_, c: string) => c.toUpperCase());

interface OpText {
  /** "add(f64):f64" */
  readonly text: string;
  readonly c: string;
  readonly args: readonly TypeName[];
  readonly returns: TypeName;
}

interface KindText {
  readonly kind: Kind;
  /** For errors. */
  readonly label: string;
  readonly c: string;
  readonly macro: string;
  readonly cpp: string;
  readonly ops: readonly OpText[];
}

/** A kind, and the name under which it was found; that is a function kind's name in C. */
interface Found {
  readonly kind: Kind;
  readonly at: string;
}

// By what it has: another copy of the package may have made it.
function isKind(value: unknown): value is Kind {
  const { fingerprint, ops, signatures } = value as Partial<Kind>;
  return typeof fingerprint === 'bigint' && Array.isArray(ops) && typeof signatures === 'object';
}

function isContainer(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return Array.isArray(value) || prototype === null || prototype === Object.prototype;
}

function* kindsIn(value: unknown, at: string, seen = new Set<unknown>()): Generator<Found> {
  if (typeof value !== 'object' || value === null) return;
  if (isKind(value)) {
    yield { kind: value, at };
  } else if (isContainer(value) && !seen.has(value)) {
    seen.add(value);
    for (const [key, inner] of Object.entries(value))
      yield* kindsIn(inner, Array.isArray(value) ? '' : key, seen);
  }
}

function kindTextOf({ kind, at }: Found, prefix: string): KindText {
  // A plain function's kind has its signature for a name: the export's is better, where there is one.
  const named = kind.isFunction && at !== '' && at !== 'default';
  const name = named ? at.replace(/(?<=.)_?kind$/i, '') : kind.name;
  const label = named ? `${at}, ${kind.name},` : kind.name;
  const refuse = (what: string, next = ''): never => {
    const rename = kind.isFunction
      ? 'export it under another name'
      : 'give it another with kind(..., { name })';
    throw new Problem(`the kind ${label} ${what}: ${rename}${next}`);
  };
  if (!/^[\w .:/(),-]+$/.test(name)) {
    refuse('has a name of which C can make no identifier; it may have letters, digits and . : / - _');
  }
  const c = `${prefix}${snakeOf(name)}`;
  const would = `would be ${c} in C, which`;
  const orPrefix = ', or use --prefix';
  if (!/^[a-z][a-z0-9_]*$/.test(c)) refuse(`${would} is no identifier`);
  if (KEYWORDS.has(c)) refuse(`${would} is a keyword of C or C++`, orPrefix);
  if (LIBRARY.has(c)) refuse(`${would} the C library has`, orPrefix);
  if (c.endsWith('_t')) refuse(`${would} ends as the types of the system do`);
  if (c === 'haft' || c.startsWith('haft_')) refuse(`${would} begins as haft's own names do`, orPrefix);
  const ops = Object.entries<Signature>(kind.signatures).map(([op, signature]) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(op) || snakeOf(op) === '') {
      throw new Problem(`the op ${label}.${op} is no identifier in C: rename the method`);
    }
    const snake = snakeOf(op);
    // What would hide another name, or be none, in the class of C++ or among the functions of C.
    const taken = OWN.has(snake) || MEMBERS.has(snake) || KEYWORDS.has(snake) || /^(\d|haft)|_t$/.test(snake);
    const { args = [], returns = 'void' } = signature;
    return {
      text: op + signatureText(signature),
      c: taken ? `op_${snake}` : snake,
      args,
      returns,
    };
  });
  return { kind, label, c, macro: c.toUpperCase(), cpp: pascalOf(c), ops };
}

/** Two things of one name are refused, by what they are called in JavaScript. */
class Names {
  readonly #owners = new Map<string, string>();

  add(name: string, owner: string): void {
    const other = this.#owners.get(name);
    if (other !== undefined)
      throw new Problem(`${other} and ${owner} would both be ${name}: rename one of them`);
    this.#owners.set(name, owner);
  }
}

function checkNames(kinds: readonly KindText[]): void {
  const names = new Names();
  for (const { label, c, macro, cpp, ops } of kinds) {
    for (const name of [c, cpp, ...[...OWN].map((own) => `${c}_${own}`)])
      names.add(name, `the kind ${label}`);
    const ofKind = (part: string) => names.add(`${macro}_KIND_${part}`, `the kind ${label}`);
    for (const part of ['NAME', 'SIGNATURES', 'FINGERPRINT']) ofKind(part);
    const members = new Names();
    for (const op of ops) {
      const owner = `the op ${label}.${op.text}`;
      for (const end of ['', '_post', '_async']) names.add(`${c}_${op.c}${end}`, owner);
      if (op.returns !== 'void') names.add(`${c}_${op.c}_result`, owner);
      names.add(`${macro}_${op.c.toUpperCase()}`, owner);
      for (const start of ['', 'post_', 'async_']) members.add(`${start}${op.c}`, owner);
    }
  }
}

const LINE = 110;

/** `start(part, part) end`, on as many lines as it takes. */
function list(start: string, parts: readonly string[], end: string): string {
  const lines = [start];
  const indent = ' '.repeat(start.length - start.trimStart().length + 4);
  parts.forEach((part, i) => {
    const piece = part + (i < parts.length - 1 ? ',' : end);
    const line = lines.at(-1)!;
    if (line.length + piece.length + 1 > LINE) lines.push(indent + piece);
    else lines[lines.length - 1] = line + (i === 0 ? piece : ` ${piece}`);
  });
  return lines.join('\n');
}

const hex = (n: bigint) => `0x${n.toString(16).padStart(16, '0')}u`;

const fill = (text: string, i: number) => text.replaceAll('$', `arg${i + 1}`);

/** What is said of the arguments, where there is anything to say. */
function argumentsNote({ args }: OpText): string {
  const copied = args.includes('str') || args.includes('bytes') ? ' Memory is copied.' : '';
  return `${copied}${args.includes('handle') ? ' Handles are borrowed.' : ''}`;
}

const RESULT_NOTES: Partial<Record<TypeName, string>> = {
  handle: " The result carries a reference, which is the caller's: haft_release.",
  str: " The result is the caller's: haft_str_free.",
  bytes: " The result is the caller's: haft_bytes_free.",
};

/** A comment, in lines of the width of the others. */
function comment(text: string, indent = ''): string {
  const lines = [`${indent}/*`];
  const words = text.split(' ');
  words.push(`${words.pop()} */`);
  for (const word of words) {
    const line = lines.at(-1)!;
    if (line.length + word.length + 1 > LINE) lines.push(`${indent}** ${word}`);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines.join('\n');
}

function opC({ c, macro }: KindText, op: OpText): string {
  const name = `${c}_${op.c}`;
  const wire = WIRES[op.returns];
  const values = op.args.map((type, i) => fill(WIRES[type].make, i));
  const parameters = op.args.flatMap((type, i) => fill(WIRES[type].parameters, i).split(', '));
  const args = values.length > 0 ? `args, ${values.length}` : 'NULL, 0';
  const result = wire.result === '' ? [] : [`${wire.result} *result`];
  const begin = [
    ...(values.length > 0 ? [list('  const haft_value args[] = {', values, '};')] : []),
    '  haft_op op;',
  ];
  const bind = `haft_status status = ${c}_op(${macro}_${op.c.toUpperCase()}, &op);`;
  const send = (end: string, last: string[], body: string[]) =>
    [
      list(`static inline haft_status ${name}${end}(`, [`${c} self`, ...parameters, ...last], ') {'),
      ...begin,
      ...body,
      '}',
    ].join('\n');
  const taking = op.returns === 'void' ? 'NULL' : 'result ? &raw : NULL';
  const call = send(
    '',
    ['int64_t timeout_ms', ...result],
    [
      ...(op.returns === 'void' ? [] : ['  haft_value raw = haft_value_make(HAFT_VOID, 0);']),
      `  ${bind}`,
      `  if (status == HAFT_OK) status = haft_call(self.handle, op, ${args}, timeout_ms, ${taking});`,
      op.returns === 'void' ? '  return status;' : `  return haft_take_${op.returns}(status, &raw, result);`,
    ],
  );
  const post = send(
    '_post',
    ['haft_full when_full'],
    [
      `  const ${bind}`,
      `  return status == HAFT_OK ? haft_post(self.handle, op, ${args}, when_full) : status;`,
    ],
  );
  const later = send(
    '_async',
    ['int64_t timeout_ms', 'const haft_completer *completer'],
    [
      `  const ${bind}`,
      '  if (status != HAFT_OK) return status;',
      `  return haft_call_async(self.handle, op, ${args}, timeout_ms, completer);`,
    ],
  );
  const note = argumentsNote(op);
  const errors = `${c}_bind`;
  const drop = op.returns === 'void' ? '' : ' NULL for `result` drops it; on any error it is 0 or empty.';
  const parts = [
    comment(
      `${op.text}: calls, and waits. Statuses as haft_call and ${errors}.${note}${RESULT_NOTES[op.returns] ?? ''}${drop}`,
    ),
    call,
    comment(`Posts, and goes on. Statuses as haft_post and ${errors}.${note} Nobody has anything to free.`),
    post,
    comment(
      `Calls, and goes on. Statuses as haft_call_async and ${errors}: HAFT_OK, and the completer hears of it once.${note} ${
        op.returns === 'void' ? 'The result has nothing to free.' : `${name}_result reads what it is given.`
      }`,
    ),
    later,
  ];
  if (op.returns !== 'void') {
    parts.push(
      comment(
        `What ${name}_async has ended with: \`status\` and \`*from\` are the completion's. Returns \`status\`.${(RESULT_NOTES[op.returns] ?? '').replace('caller', 'receiver')} Unless it is HAFT_OK, \`*from\` stays as it is, with the text that says why: haft_value_free.`,
      ),
      [
        list(
          `static inline haft_status ${name}_result(`,
          ['haft_status status', 'haft_value *from', `${wire.result} *result`],
          ') {',
        ),
        `  return haft_take_${op.returns}(status, from, result);`,
        '}',
      ].join('\n'),
    );
  }
  return parts.join('\n');
}

/** Bytes of a string literal that every compiler takes; from there on GCC warns. */
const LITERAL = 4000;
const IGNORED = '#pragma GCC diagnostic ignored "-Woverlength-strings"';

function kindC(text: KindText): string {
  const { kind, c, macro, ops } = text;
  const signatures = ops.map(({ text }, i) => `"${text}${i < ops.length - 1 ? ';' : ''}"`);
  const isLong = signatures.join('').length > LITERAL;
  const own = (name: string, parameters: string, ...body: string[]) =>
    [`static inline haft_status ${c}_${name}(${parameters}) {`, ...body.map((line) => `  ${line}`), '}'].join(
      '\n',
    );
  const bind = list(
    '  const haft_status status = haft_typed_bind(',
    [`&${c}_known`, `${macro}_KIND_NAME`, 'signatures', `${macro}_KIND_FINGERPRINT`, '&kind'],
    ');',
  );
  return [
    `#define ${macro}_KIND_NAME "${kind.name}"`,
    `#define ${macro}_KIND_SIGNATURES \\\n  ${signatures.length > 0 ? signatures.join(' \\\n  ') : '""'}`,
    `#define ${macro}_KIND_FINGERPRINT ${hex(kind.fingerprint)}`,
    '',
    comment(
      `A handle of an object of this kind. The compiler tells it from those of other kinds; to copy it adds no reference.`,
    ),
    `typedef struct ${c} {\n  haft_handle handle;\n} ${c};`,
    '',
    ...(ops.length > 0
      ? [
          comment(`The positions of the ops: ${c}_op makes an op of one.`),
          `enum {\n${ops.map((op, i) => `  ${macro}_${op.c.toUpperCase()} = ${i}`).join(',\n')}\n};`,
          '',
        ]
      : []),
    `HAFT_TYPED_SHARED haft_kind ${c}_known = 0;`,
    '',
    comment(
      `The op at a position, for the functions of haft.h. Statuses as ${c}_bind. Nothing is owned, on any thread.`,
    ),
    ...(isLong ? [`#if defined(__GNUC__)\n#pragma GCC diagnostic push\n${IGNORED}\n#endif`] : []),
    own(
      'op',
      'uint32_t position, haft_op *op',
      `static const char signatures[] = ${macro}_KIND_SIGNATURES;`,
      'haft_kind kind;',
      bind.trimStart(),
      '*op = HAFT_OP(kind, position);',
      'return status;',
    ),
    ...(isLong ? ['#if defined(__GNUC__)\n#pragma GCC diagnostic pop\n#endif'] : []),
    comment(
      'Looks the kind up, once a library; every function here does it by itself. HAFT_E_NOT_FOUND: JavaScript has made no object of this kind so far; HAFT_E_ABI: the kind has other ops than this header, and haft_last_error()->message names the first that differs; HAFT_E_UNSUPPORTED: before HAFT_PLUGIN.',
    ),
    own('bind', 'void', 'haft_op op;', `return ${c}_op(0, &op);`),
    comment(
      `The handle as one of this kind, if it is one. Adds no reference and takes none. Statuses as haft_check and ${c}_bind; on any error \`self->handle\` is HAFT_NULL.`,
    ),
    own(
      'from',
      `haft_handle handle, struct ${c} *self`, // `struct`: a kind may be called as another parameter is
      'haft_op op;',
      `const haft_status bound = ${c}_op(0, &op);`,
      'const haft_status status = haft_typed_check(bound, handle, HAFT_OP_KIND(op));',
      'self->handle = status == HAFT_OK ? handle : HAFT_NULL;',
      'return status;',
    ),
    comment(
      `What JavaScript published under \`name\`, with a reference, which is the caller's: ${c}_release. Statuses as haft_find and ${c}_from; on any error \`self->handle\` is HAFT_NULL.`,
    ),
    own(
      'find',
      `haft_realm realm, const char *name, int64_t timeout_ms, struct ${c} *self`,
      'haft_handle found = HAFT_NULL;',
      'haft_status status = haft_find(realm, name, 0, timeout_ms, &found);',
      'self->handle = HAFT_NULL;',
      'if (status != HAFT_OK) return status;',
      `status = ${c}_from(found, self);`,
      'if (status != HAFT_OK) haft_release(found);',
      'return status;',
    ),
    comment('Adds one reference, and gives one back. Statuses as haft_retain and haft_release.'),
    own('retain', `${c} self`, 'return haft_retain(self.handle);'),
    own('release', `${c} self`, 'return haft_release(self.handle);'),
    ...ops.map((op) => `\n${opC(text, op)}`),
  ].join('\n');
}

function opCpp({ c, macro }: KindText, op: OpText): string {
  const types = op.args.map((type) => WIRES[type].cpp);
  const [signature, , result] = WIRES[op.returns].cpp;
  const parameters = types.map(([, argument], i) => `${argument} arg${i + 1}`);
  const passed = types.map((_, i) => `arg${i + 1}`);
  const position = `${macro}_${op.c.toUpperCase()}`;
  const method = `    return method<${signature}(`;
  const named =
    types.length > 0
      ? list(
          method,
          types.map(([type]) => type),
          `)>(${position})`,
        )
      : `${method})>(${position})`;
  const member = (head: string, last: string[], how: string, ends: string[]) => {
    const args = ['reference_', ...passed, ...ends];
    const line = `${named}.${how}(${args.join(', ')});`;
    const lines = line.length > LINE ? `${named}\n${list(`        .${how}(`, args, ');')}` : line;
    return [list(`${head}(`, [...parameters, ...last], ') const {'), lines, '  }'].join('\n');
  };
  return [
    comment(`${op.text}, as ${c}_${op.c}, which says errors and ownership.`, '  '),
    member(`  haft::result<${result}> ${op.c}`, ['int64_t timeout_ms = haft::forever'], 'call', [
      'timeout_ms',
    ]),
    member(`  [[nodiscard]] haft_status post_${op.c}`, ['haft_full when_full = HAFT_FAIL'], 'post', [
      'when_full',
    ]),
    '  template <class Done>',
    member(`  [[nodiscard]] haft_status async_${op.c}`, ['int64_t timeout_ms', 'Done &&done'], 'call_async', [
      'timeout_ms',
      'std::forward<Done>(done)',
    ]),
    member(
      `  [[nodiscard]] haft_status async_${op.c}`,
      ['int64_t timeout_ms', 'const haft::queue &into', 'void *user'],
      'call_async',
      ['timeout_ms', 'into', 'user'],
    ),
  ].join('\n');
}

function kindCpp(text: KindText): string {
  const { c, cpp, ops } = text;
  return `#ifdef __cplusplus
/* Owns a reference to an object of this kind, or none: then every call is HAFT_E_FORGED. Can be moved and not copied. */
class ${cpp} {
 public:
  ${cpp}() noexcept = default;

  /* Takes the reference over, if it is one to an object of this kind. Statuses as ${c}_from. */
  static haft::result<${cpp}> from(haft::ref target) {
    ::${c} self;
    const haft_status status = ::${c}_from(target.get(), &self);
    if (status != HAFT_OK) return haft::failure(status);
    return ${cpp}(std::move(target));
  }

  /* What JavaScript published under \`name\`. Statuses as ${c}_find. */
  static haft::result<${cpp}> find(haft_realm realm, const char *name, int64_t timeout_ms) {
    haft::result<haft::ref> found = haft::find(realm, name, 0, timeout_ms);
    if (!found) return haft::failure(found.status(), found.error());
    return from(std::move(found).value());
  }

  /* The handle, which stays this object's, and its reference: to share, to follow, or to give away. */
  haft_handle get() const noexcept { return reference_.get(); }
  haft::ref &reference() noexcept { return reference_; }
  explicit operator bool() const noexcept { return (bool)reference_; }
${ops.map((op) => `\n${opCpp(text, op)}\n`).join('')}
 private:
  explicit ${cpp}(haft::ref target) noexcept : reference_(std::move(target)) {}

  /* Known since there is an object; of one that names nothing, haft looks at the handle first. */
  template <class Signature>
  static haft::method<Signature> method(uint32_t position) {
    haft_op op = 0;
    (void)::${c}_op(position, &op);
    return haft::method<Signature>(op);
  }

  haft::ref reference_;
};
#endif`;
}

function blockOf(text: KindText): string {
  const { kind, c, macro } = text;
  const guard = `HAFT_HEADER_${macro}`;
  const identity = hex(fingerprintOf(`${kind.name} ${text.ops.map((op) => op.text).join(';')}`));
  const rule = '-'.repeat(Math.max(4, LINE - kind.name.length - 12));
  return `/* ---- ${kind.name} ${rule} */

#if defined(${guard}) && ${guard} != ${identity}
#error "two headers declare ${c}, and not the same one: write them anew, one with --prefix"
#elif !defined(${guard})
#define ${guard} ${identity}

${kindC(text)}

${kindCpp(text)}
#endif
`;
}

/**
 * The header of all kinds that a module exports, itself or in objects and arrays.
 *
 * @param exported The namespace of the module. A default export that is a function is left alone.
 * @throws Problem There is no kind, or their names do not fit C or each other.
 */
export function headerOf(exported: object, { prefix = '' }: HeaderOptions = {}): string {
  if (!/^([A-Za-z]\w*)?$/.test(prefix)) {
    throw new Problem(
      `the prefix ${prefix} is not one: it begins with a letter, and has letters, digits and _`,
    );
  }
  const kinds: KindText[] = [];
  for (const found of kindsIn({ ...exported }, '')) {
    const text = kindTextOf(found, prefix.toLowerCase());
    const isSame = (other: KindText) =>
      other.c === text.c &&
      other.kind.name === text.kind.name &&
      other.kind.fingerprint === text.kind.fingerprint;
    if (!kinds.some(isSame)) kinds.push(text);
  }
  if (kinds.length === 0) {
    throw new Problem('the module exports no kind: export what kind(...) or functionKind(...) returned');
  }
  checkNames(kinds);
  kinds.sort((a, b) => (a.c < b.c ? -1 : 1));
  return `/* Written by \`haft header\` from the kinds of a module: change them, not this file. docs/header.md is the manual.
** In C++ it needs C++17, and has a class for each kind beside what C has. */
#include <haft_typed.h>
#ifdef __cplusplus
#include <haft.hpp>
#endif

${kinds.map(blockOf).join('\n')}`;
}
