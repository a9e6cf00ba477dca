// P15, P16: a reply slot goes PENDING -> STARTED -> DONE or ABANDONED by compare-and-swap on a word with a sequence;
// PENDING for a sequence is the DONE of the one before. Whoever comes last frees the slot. Nobody gets another's answer,
// nothing is freed twice or never, a handler does not begin after its caller has given up, and a caller that sleeps
// is woken (native/core/calls.cc, replies.cc, src/mailbox.ts). Two callers, two calls each, two slots, sequences of 2 bits.
// breaks: STORE_DONE STORE_ABANDONED NO_START_CAS NO_SEQUENCE CALLER_FREES SLEEPER_LATE

#define DONE 0
#define STARTED 1
#define ABANDONED 2
#define CALLERS 2
#define CALLS 2
#define SLOTS 2
#ifdef NO_SEQUENCE
#define WORD(s, state) (state)
#else
#define WORD(s, state) ((((s) & 3) << 2) | (state))
#endif
#define PENDING(s) WORD((s) + 3, DONE)

byte word[SLOTS];
byte sequence[SLOTS]; /* for the model's own use without NO_SEQUENCE in the word */
bool taken[SLOTS];
byte value[SLOTS];
bool sleeper[SLOTS];
bool sleeps[CALLERS];
byte sleeps_on[CALLERS];
byte made, received, dropped; /* results that carry something */
byte gave_up[4]; /* 1: in PENDING, by number of the call */
byte over;

/* A message: slot, sequence, number of the call. */
chan mailbox = [4] of { byte, byte, byte };

inline give(n, s) {
  atomic {
    assert(taken[n]);
    word[n] = WORD(s, DONE);
    taken[n] = 0
  }
}

proctype Caller(byte me) {
  byte n, s, w, calls, id;
  bool patient;
  do
  :: calls == CALLS -> break
  :: else ->
    id = me * CALLS + calls;
    atomic {
      if
      :: !taken[0] -> n = 0
      :: !taken[1] -> n = 1
      fi;
      taken[n] = 1;
      sequence[n] = (sequence[n] + 1) & 3;
      s = sequence[n]
    }
    if
    :: patient = 0
    :: patient = 1
    fi;
    mailbox!n, s, id;
    do
    :: w = word[n];
      if
      :: w != PENDING(s) && w != WORD(s, STARTED) -> break
      :: else
      fi;
      if
      :: patient ->
        sleeper[n] = 1;
        w = word[n];
        if
        :: w == PENDING(s) || w == WORD(s, STARTED) ->
          atomic { /* a futex: sleeps only if the word is still the same */
            if
            :: word[n] == w -> sleeps_on[me] = n; sleeps[me] = 1
            :: else
            fi
          }
          !sleeps[me]
        :: else
        fi
      :: !patient -> /* time is up */
#ifdef STORE_ABANDONED
        word[n] = WORD(s, ABANDONED);
        goto next;
#else
        atomic {
          if
          :: word[n] == w -> word[n] = WORD(s, ABANDONED); gave_up[id] = (w == PENDING(s)); goto given_up
          :: else
          fi
        }
#endif
      fi
    od;
#ifdef NO_SEQUENCE
    skip;
#else
    assert(w == WORD(s, DONE));
#endif
    sleeper[n] = 0;
    assert(value[n] == id + 1);
    received++;
    give(n, s);
    goto next;
  given_up:
#ifdef CALLER_FREES
    give(n, s);
#endif
    skip;
  next:
    calls++
  od;
  over++
}

inline wake(n) {
  d_step {
    if
    :: sleeps[0] && sleeps_on[0] == n -> sleeps[0] = 0
    :: else
    fi;
    if
    :: sleeps[1] && sleeps_on[1] == n -> sleeps[1] = 0
    :: else
    fi
  }
}

proctype JavaScript() {
  byte n, s, id;
  bool ok, asleep;
end:
  do
  :: mailbox?n, s, id;
    atomic {
#ifdef NO_START_CAS
      word[n] = WORD(s, STARTED); ok = 1
#else
      if
      :: word[n] == PENDING(s) -> word[n] = WORD(s, STARTED); ok = 1
      :: else -> ok = 0
      fi
#endif
    }
    if
    :: !ok -> give(n, s)
    :: ok ->
      assert(!gave_up[id]); /* the handler runs */
#ifdef SLEEPER_LATE
      asleep = sleeper[n];
#endif
      value[n] = id + 1;
      made++;
      atomic {
#ifdef STORE_DONE
        word[n] = WORD(s, DONE); ok = 1
#else
        if
        :: word[n] == WORD(s, STARTED) -> word[n] = WORD(s, DONE); ok = 1
        :: else -> ok = 0
        fi
#endif
      }
      if
      :: !ok -> dropped++; give(n, s)
      :: ok ->
#ifndef SLEEPER_LATE
        asleep = sleeper[n];
#endif
        if
        :: asleep -> wake(n)
        :: else
        fi
      fi
    fi
  od
}

proctype Judge() {
end:
  timeout;
  assert(over == CALLERS);
  assert(!taken[0] && !taken[1]);
  assert(made == received + dropped)
}

init {
  atomic {
#ifdef NO_SEQUENCE
    skip;
#endif
    run Caller(0);
    run Caller(1);
    run JavaScript();
    run Judge()
  }
}
