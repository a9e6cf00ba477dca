// Waits for events. In C: a waiter registers, takes the counts, and then looks and sleeps on a word that changes with
// every event. What JavaScript causes is counted only if somebody is registered; a signal always is, and rings for
// JavaScript that waits. A level ends a wait where it holds. So does the realm's end: who asked for it is told so, others
// are told CLOSED. Nobody sleeps who was to be woken, although no slice ends a sleep here (native/core/events.cc,
// realm.cc, src/messages/events.ts, mailbox.ts).
//
// A store waits in a buffer unless it is sequentially consistent.
// breaks: LOOK_FIRST WAKE_EARLY COUNT_BUFFERED REGISTER_BUFFERED LEVEL_BUFFERED SCRIPT_BUFFERED ASK_FIRST NO_RING CLOSE_SILENT LOOK_TWICE

mtype = { signal, drain, level, end_of_realm }; /* what a wait asks for */

byte waiters;
byte signals, drains; /* counts */
byte changed;
bool is_empty; /* a level */
bool closed;
bool script_waits;
bool rung;

mtype asks;
bool began, ended, asleep;
bool owed; /* its event came after it began */
bool script_began, script_ended, script_owed;

/* Stores on their way. */
byte count_waits, register_waits;
bool level_waits, script_waits_waits;

proctype Memory() {
end:
  do
  :: atomic { count_waits > 0 -> signals++; count_waits-- }
  :: atomic { register_waits > 0 -> waiters++; register_waits-- }
  :: atomic { level_waits -> is_empty = 1; level_waits = 0 }
  :: atomic { script_waits_waits -> script_waits = 1; script_waits_waits = 0 }
  od
}

inline wake() {
  asleep = 0
}

inline look(closed_then) {
  if
  :: asks == signal -> found = (signals != taken)
  :: asks == drain -> found = (drains != taken)
  :: asks == level && !closed_then -> found = is_empty
  :: asks == end_of_realm -> found = closed_then
  :: else
  fi
}

proctype Waiter() {
  byte taken, seen;
  bool found, was_closed;
  if
  :: asks = signal
  :: asks = drain
  :: asks = level
  :: asks = end_of_realm
  fi;
#ifdef REGISTER_BUFFERED
  register_waits++;
#else
  waiters++;
#endif
  atomic { taken = (asks == signal -> signals : drains); began = 1 }
  do
  :: true ->
#ifndef LOOK_FIRST
    seen = changed;
#endif
#ifdef LOOK_TWICE
    look(closed);
    was_closed = closed;
#else
    was_closed = closed;
    look(was_closed);
#endif
    if
    :: found -> break
    :: !found && was_closed -> assert(asks != end_of_realm); break
    :: else
    fi;
#ifdef LOOK_FIRST
    seen = changed;
#endif
    atomic { /* a futex */
      if
      :: changed == seen -> asleep = 1
      :: else
      fi
    }
end:
    !asleep
  od;
  atomic { ended = 1; found = 0; taken = 0; seen = 0; was_closed = 0 }
}

/* haft_signal. */
proctype Signaller() {
  d_step {
    owed = owed || (began && asks == signal);
    script_owed = script_began
  }
#ifdef WAKE_EARLY
  changed++;
  wake();
  signals++;
#else
#ifdef COUNT_BUFFERED
  count_waits++;
#else
  signals++;
#endif
  changed++;
  wake();
#endif
#ifndef NO_RING
  if
  :: script_waits -> rung = 1
  :: else
  fi
#endif
}

/* JavaScript: drains its mailboxes, and waits for the signal. */
proctype Script() {
  byte taken;
#ifdef ASK_FIRST
  taken = waiters;
#endif
#ifdef LEVEL_BUFFERED
  level_waits = 1;
#else
  is_empty = 1;
#endif
  owed = owed || (began && asks == drain);
#ifndef ASK_FIRST
  taken = waiters;
#endif
  if
  :: taken != 0 ->
    drains++;
    changed++;
    wake()
  :: else
  fi;
#ifdef SCRIPT_BUFFERED
  script_waits_waits = 1;
#else
  script_waits = 1;
#endif
  taken = signals;
  script_began = 1;
  do
  :: signals != taken -> script_ended = 1; break
  :: else -> /* to the event loop, until the doorbell */
end:
    atomic { rung -> rung = 0 }
  od
}

proctype Closer() {
  if
  :: skip
  :: closed = 1;
#ifndef CLOSE_SILENT
    changed++;
#endif
    wake()
  fi
}

proctype Judge() {
end:
  timeout;
  assert(ended || !(closed || owed || (asks == level && is_empty)));
  assert(script_ended || !script_owed)
}

init {
  atomic {
    run Memory();
    run Waiter();
    run Signaller();
    run Script();
    run Closer();
    run Judge()
  }
}
