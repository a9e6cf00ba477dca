// What haft/testing exports: for the tests of those who use haft, under any test runner. See docs/testing.md.
export { closedRealm, closeRealm, failCreate, fillMailbox, type Lateness, slowRealm } from './faults.js';
export { expectNoLeaks, type Leak, LeakError, type LeakOptions, startLeakCheck } from './leaks.js';
export { type SteppedMailbox, stepMailbox, type WaitingMessage } from './step.js';
