// What the package exports.
import './koffi-backend/backend.js';

export type { NativeApi } from './binding.js';
export type { Collected } from './collector.js';
export type { ChannelMessages, ChannelName } from './debugging/channels.js';
export { type Difference, diffReports, type KindChange } from './debugging/difference.js';
export type { LeakReport } from './debugging/leaks.js';
export type { MailboxOverflow, Overflow, TableOverflow, Waiting } from './debugging/overflow.js';
export type {
  HandleReport,
  HandleUse,
  KindReport,
  Origin,
  RegistryReport,
  ReportOptions,
  ShardReport,
} from './debugging/report.js';
export { formatDifference, formatLeaks, formatReport } from './debugging/report-text.js';
export { type ErrorCode, HaftError, type HaftErrorDetails, type StatusName } from './errors.js';
export { formatHandle, type Handle, NULL_HANDLE } from './handle.js';
export { Handles, type Stats } from './handles.js';
export { runHost } from './host.js';
export type { HostFunctions, HostOptions, HostSignature, HostSignatures } from './host-functions.js';
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
export { Owned } from './lifetimes/owned.js';
export { Memory, Pin, type Pinnable } from './lifetimes/pins.js';
export { Scope } from './lifetimes/scope.js';
export type { Counters } from './messages/counters.js';
export { EVENT } from './messages/events.js';
export { api, type Plugin } from './plugin.js';
export { type ErrorContext, Registry, type RegistryEvents, type RegistryStats } from './registry.js';
export { HandleTable, type HandleTableOptions } from './table.js';
export type { CType, FromC, ToC } from './trampolines/c-types.js';
export type { ClosureOf, SignatureType, TrampolineOptions, UserDataPlace } from './trampolines/shape.js';
export type { BindOptions, Bound, Trampoline, TrampolineGroup } from './trampolines/trampoline.js';
