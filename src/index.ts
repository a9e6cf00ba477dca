// What the package exports.
export type { NativeApi } from './binding.js';
export type { CType, FromC, ToC } from './c-types.js';
export type { ChannelMessages, ChannelName } from './channels.js';
export type { Collected } from './collector.js';
export type { Counters } from './counters.js';
export { type Difference, diffReports, type KindChange } from './difference.js';
export { type ErrorCode, HaftError, type HaftErrorDetails, type StatusName } from './errors.js';
export { EVENT } from './events.js';
export { formatHandle, type Handle, NULL_HANDLE } from './handle.js';
export { Handles, type Stats } from './handles.js';
export { runHost } from './host.js';
export {
  type ArgumentType,
  functionKind,
  type HandlerOf,
  type Kind,
  kind,
  type Signature,
  type Signatures,
  type TypeName,
} from './kind.js';
export type { LeakReport } from './leaks.js';
export type { MailboxOverflow, Overflow, TableOverflow, Waiting } from './overflow.js';
export { Owned } from './owned.js';
export { Memory, Pin, type Pinnable } from './pins.js';
export { api, type Plugin } from './plugin.js';
export { type ErrorContext, Registry, type RegistryEvents, type RegistryStats } from './registry.js';
export type {
  HandleReport,
  HandleUse,
  KindReport,
  Origin,
  RegistryReport,
  ReportOptions,
  ShardReport,
} from './report.js';
export { formatDifference, formatLeaks, formatReport } from './report-text.js';
export { Scope } from './scope.js';
export type { ClosureOf, SignatureType, TrampolineOptions, UserDataPlace } from './shape.js';
export { HandleTable, type HandleTableOptions } from './table.js';
export type { BindOptions, Bound, Trampoline, TrampolineGroup } from './trampoline.js';
