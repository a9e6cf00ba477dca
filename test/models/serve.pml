// P20: haft_serve against the doorbell and haft_signal: the own thread says that it serves, drains and arms the doorbell,
// looks for a signal, and sleeps on the word that says so. Whoever rings changes that word first. No message and no
// signal is slept over, although no slice ends a sleep here, and nothing is left in the word afterwards
// (native/core/blocking.cc, mailbox.cc, events.cc).
//
// The store of the word, and the signaller's of its mark, wait in a buffer unless they are sequentially consistent.
// breaks: SERVING_LATE SERVING_BUFFERED STORE_CALLED SIGNAL_LATE SIGNAL_BUFFERED NO_CALLED

#define NOT 0
#define SERVING 1
#define CALLED 2
#define PRODUCERS 2

byte serving;
bool armed = 1;
bool dirty;
byte published, consumed;
bool signalled;
bool signal_seen;
bool asleep;
byte finished;
bool served;

bool serving_waits, signal_waits;

proctype Memory() {
end:
  do
  :: atomic { serving_waits -> serving = SERVING; serving_waits = 0 }
  :: atomic { signal_waits -> signalled = 1; signal_waits = 0 }
  od
}

inline ring() {
  word = serving;
  if
  :: word == SERVING ->
#ifdef NO_CALLED
    asleep = 0
#else
#ifdef STORE_CALLED
    serving = CALLED;
    asleep = 0
#else
    atomic {
      if
      :: serving == SERVING -> serving = CALLED
      :: else -> goto rung
      fi
    }
    asleep = 0 /* the wake-up */
#endif
#endif
  :: else
  fi;
rung:
  skip
}

proctype Producer() {
  byte word;
  bool was;
  published++;
  if
  :: dirty
  :: else ->
    dirty = 1;
    atomic { was = armed; armed = 0 }
    if
    :: was -> ring()
    :: else
    fi
  fi;
  finished++
}

proctype Signaller() {
  byte word;
#ifdef SIGNAL_LATE
  word = serving;
  signalled = 1;
#else
#ifdef SIGNAL_BUFFERED
  signal_waits = 1;
#else
  signalled = 1;
#endif
  word = serving;
#endif
  if
  :: word != NOT -> ring()
  :: else
  fi;
  finished++
}

inline say_serving() {
#ifdef SERVING_BUFFERED
  serving_waits = 1
#else
  serving = SERVING
#endif
}

proctype Own() {
  bool handled, seen;
  byte n;
  do
  :: consumed == PRODUCERS && signal_seen -> break
  :: else -> /* one haft_serve */
    do
    :: true ->
#ifndef SERVING_LATE
      say_serving();
#endif
      handled = 0;
    drain:
      dirty = 0;
      do
      :: consumed < published -> consumed++; handled = 1
      :: else -> break
      od;
      armed = 1;
      if
      :: dirty ->
        atomic {
          if
          :: armed -> armed = 0; goto drain
          :: else /* a producer rings */
          fi
        }
      :: else
      fi;
#ifdef SERVING_LATE
      say_serving();
#endif
      atomic { seen = signalled; signalled = 0 }
      if
      :: seen -> signal_seen = 1
      :: else
      fi;
      if
      :: handled || seen -> break
      :: else
      fi;
      atomic { /* a futex: sleeps only while the word is the same; our own store is seen by us at once */
        if
        :: serving == SERVING || serving_waits -> asleep = 1
        :: else
        fi
      }
      !asleep
    od;
    atomic { !serving_waits -> serving = NOT }
  od;
  served = 1
}

proctype Judge() {
end:
  timeout;
  assert(finished == PRODUCERS + 1);
  assert(served);
  assert(serving == NOT)
}

init {
  atomic {
    run Memory();
    run Producer();
    run Producer();
    run Signaller();
    run Own();
    run Judge()
  }
}
