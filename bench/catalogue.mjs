// The benches by name. Each module says its subjects, its cases (parameters), and how to measure one of both:
//
//   subjects                            haft and its peers
//   cases({ quick })                    list of parameters
//   skips?(subject, params)             true: this subject has no such case
//   needsCalm?                          a ratio between threads: measured only while both cores are free
//   againstCommits?                     with --against, haft of that commit is a subject too
//   nodeFlags?                          of the child process
//   environment?(subject)               variables of the child process, beside those that are there
//   measure(subject, params, { quick }) in the child: [{ params, ns, ... }], or { params, impossible: 'why' }
import * as call from './benches/call.mjs';
import * as callLoaded from './benches/call-loaded.mjs';
import * as callMany from './benches/call-many.mjs';
import * as checks from './benches/checks.mjs';
import * as embed from './benches/embed.mjs';
import * as loop from './benches/loop.mjs';
import * as nativeTable from './benches/native-table.mjs';
import * as post from './benches/post.mjs';
import * as publish from './benches/publish.mjs';
import * as sameThread from './benches/same-thread.mjs';
import * as stream from './benches/stream.mjs';
import * as table from './benches/table.mjs';
import * as trampoline from './benches/trampoline.mjs';
import * as trampolineLoaded from './benches/trampoline-loaded.mjs';

export const benches = {
  table,
  publish,
  'native-table': nativeTable,
  post,
  call,
  'call-many': callMany,
  'call-loaded': callLoaded,
  checks,
  embed,
  loop,
  'same-thread': sameThread,
  trampoline,
  'trampoline-loaded': trampolineLoaded,
  stream,
};
