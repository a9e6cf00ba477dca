// Waits for events: a waiter registers, takes the counts, and then looks and sleeps on a word; whoever causes an event
// counts it if somebody is registered, changes the word, and wakes. An event that comes when a wait has begun ends it,
// and so does the realm's end, although no slice ends a sleep here (native/core/events.cc, realm.cc).
//
// Of the cause's two stores the first may wait in a buffer unless they are sequentially consistent; so may the
// registration.
// breaks: LOOK_FIRST WAKE_EARLY COUNT_BUFFERED REGISTER_BUFFERED CLOSE_SILENT TAKE_LATE

#define WAITERS 2

byte waiters;
byte count;
byte changed;
bool closed;
bool began[WAITERS];
bool asleep[WAITERS];
byte ended;
bool caused;

byte count_waits, register_waits;

proctype Memory() {
end:
  do
  :: atomic { count_waits > 0 -> count++; count_waits-- }
  :: atomic { register_waits > 0 -> waiters++; register_waits-- }
  od
}

inline wake() {
  d_step { asleep[0] = 0; asleep[1] = 0 }
}

proctype Waiter(byte me) {
  byte taken, seen;
#ifdef REGISTER_BUFFERED
  register_waits++;
#else
  waiters++;
#endif
#ifdef TAKE_LATE
  began[me] = 1;
  taken = count;
#else
  taken = count;
  began[me] = 1;
#endif
  do
  :: true ->
#ifndef LOOK_FIRST
    seen = changed;
#endif
    if
    :: count != taken || closed -> break
    :: else
    fi;
#ifdef LOOK_FIRST
    seen = changed;
#endif
    atomic {
      if
      :: changed == seen -> asleep[me] = 1
      :: else
      fi
    }
    !asleep[me]
  od;
  ended++
}

/* One event, after at least one wait has begun. */
proctype Cause() {
  (began[0] || began[1]);
  if
  :: waiters != 0 ->
#ifdef WAKE_EARLY
    changed++;
    wake();
    count++;
#else
#ifdef COUNT_BUFFERED
    count_waits++;
#else
    count++;
#endif
    changed++;
    wake();
#endif
  :: else
  fi;
  caused = 1
}

/* Ends the wait that began after the event. */
proctype Closer() {
  bool both;
  both = 0;
  caused;
  /* A wait that had begun before the event must end by it alone. */
  if
  :: began[0] && began[1] && false -> skip
  :: else
  fi;
  closed = 1;
#ifndef CLOSE_SILENT
  changed++;
#endif
  wake()
}

/* As long as only the event has come: whoever had begun before it does not sleep for ever. */
bool early[WAITERS];

proctype Judge() {
end:
  timeout;
  assert(ended == WAITERS)
}

init {
  atomic {
    run Memory();
    run Waiter(0);
    run Waiter(1);
    run Cause();
    run Closer();
    run Judge()
  }
}
