// P15, P16: a reply slot goes PENDING -> STARTED -> DONE or ABANDONED by compare-and-swap on a word with a sequence;
// PENDING for a sequence is the DONE of the one before. While a promise is to answer, STARTED is LATER. Whoever comes last
// frees the slot: the caller after DONE, JavaScript after ABANDONED, but the caller where it abandons LATER. Nobody gets
// another's answer, nothing is freed twice or never, a handler does not begin after its caller has given up, a caller
// that sleeps is woken, each call is counted once, and a promise that never settles leaves nothing behind
// (native/core/calls.cc, replies.cc, src/messages/replies.ts). Two callers, with two calls and one;
// sequences come round after two.
// breaks: STORE_DONE STORE_ABANDONED NO_START_CAS NO_SEQUENCE CALLER_FREES SLEEPER_LATE STORE_LATER STORE_BACK LATER_KEPT GIVE_AGAIN NO_ENTRY NO_DOORBELL GIVEN_UP_FIRST

#define DONE 0
#define STARTED 1
#define ABANDONED 2
#define LATER 3
#define CALLERS 2
#define CALLS(me) (2 - (me))
#define ALL 3
#define SLOTS 1 /* all calls share it: each is in the others' way */
#ifdef NO_SEQUENCE
#define WORD(s, state) (state)
#else
#define WORD(s, state) (((s) << 2) | (state))
#endif
#define PENDING(s) WORD(1 - (s), DONE)
#define WAITS(w, s) ((w) == PENDING(s) || (w) == WORD(s, STARTED) || (w) == WORD(s, LATER))

byte word[SLOTS];
bit sequence[SLOTS]; /* for the model's own use without NO_SEQUENCE in the word */
bool taken[SLOTS];
byte value[SLOTS];
bool sleeper[SLOTS];
bool sleeps[CALLERS];
byte sleeps_on[CALLERS];
byte carried; /* results that carry a reference, and that nobody has yet */
bool unstarted[ALL]; /* its caller gave up before the handler began */
bool left[ALL];      /* its caller gave up */
byte counted[ALL];   /* as delivered or expired */
byte over;

byte given_up;
bool rung;

/* JavaScript's own. Promises by the numbers of their calls, replies that they are to give by slots. */
bool promised[ALL];
byte promised_slot[ALL];
bit promised_sequence[ALL];
byte later[SLOTS] = ALL;
byte later_word[SLOTS];

/* A message: slot, sequence, number of the call. */
chan mailbox = [ALL] of { byte, bit, byte };

inline give(n, s) {
  atomic {
    assert(taken[n]);
    word[n] = WORD(s, DONE);
    sleeper[n] = 0;
    taken[n] = 0
  }
}

proctype Caller(byte me) {
  byte n, w, calls, id;
  bit s;
  bool patient;
  do
  :: calls == CALLS(me) -> break
  :: else ->
    atomic {
      id = me * CALLS(0) + calls;
      if
      :: !taken[0] -> n = 0
      fi;
      taken[n] = 1;
      sequence[n] = 1 - sequence[n];
      s = sequence[n];
      if
      :: patient = 0
      :: patient = 1
      fi;
      mailbox!n, s, id
    }
    do
    :: w = word[n];
      if
      :: !WAITS(w, s) -> break
      :: else
      fi;
      if
      :: !sleeper[n] ->
        sleeper[n] = 1 /* and looks again */
      :: sleeper[n] && patient ->
        atomic { /* a futex: sleeps only if the word is still the same */
          if
          :: word[n] == w -> sleeps_on[me] = n; sleeps[me] = 1
          :: else
          fi
        }
        !sleeps[me]
      :: !patient -> /* time is up, whether it has slept or not */
#ifdef GIVEN_UP_FIRST
        if
        :: w == WORD(s, LATER) -> given_up++; rung = 1
        :: else
        fi;
#endif
        atomic {
#ifndef STORE_ABANDONED
          if
          :: word[n] != w -> goto again
          :: else
          fi;
#endif
          unstarted[id] = (w == PENDING(s));
          left[id] = 1;
          word[n] = WORD(s, ABANDONED)
        }
        if
        :: w == WORD(s, LATER) ->
#ifndef LATER_KEPT
          give(n, s);
#endif
#ifndef GIVEN_UP_FIRST
          given_up++;
#ifndef NO_DOORBELL
          rung = 1
#endif
#endif
        :: else ->
#ifdef CALLER_FREES
          give(n, s)
#endif
        fi;
        counted[id]++; /* expired */
        goto next
      fi;
    again:
      skip
    od;
#ifndef NO_SEQUENCE
    assert(w == WORD(s, DONE));
#endif
    assert(value[n] == id + 1);
    carried--;
    give(n, s);
  next:
    atomic { calls++; n = 0; s = 0; w = 0 }
  od;
  atomic { over++; n = 0; s = 0; w = 0; id = 0; patient = 0 }
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

inline swap(from, to) {
  atomic {
    if
    :: word[n] == from -> word[n] = to; ok = 1
    :: else -> ok = 0
    fi
  }
}

/* The answer of call `id`. */
inline finish() {
#ifdef SLEEPER_LATE
  asleep = sleeper[n];
#endif
  value[n] = id + 1;
#ifdef STORE_DONE
  word[n] = WORD(s, DONE);
  ok = 1;
#else
  swap(WORD(s, STARTED), WORD(s, DONE));
#endif
  if
  :: !ok -> carried--; give(n, s)
  :: ok ->
    counted[id]++; /* delivered */
#ifndef SLEEPER_LATE
    asleep = sleeper[n];
#endif
    if
    :: asleep -> wake(n)
    :: else
    fi
  fi
}

#define CAN_SETTLE(p) promised[p] -> id = p

proctype JavaScript() {
  byte n, id, known;
  bit s;
  bool ok, asleep;
end:
  do
  :: mailbox?n, s, id ->
#ifdef NO_START_CAS
    word[n] = WORD(s, STARTED);
    ok = 1;
#else
    swap(PENDING(s), WORD(s, STARTED));
#endif
    if
    :: !ok -> give(n, s)
    :: ok ->
      assert(!unstarted[id]); /* the handler runs */
      if
      :: carried++;
        finish()
      :: /* it returns a promise */
        atomic { promised[id] = 1; promised_slot[id] = n; promised_sequence[id] = s }
#ifdef STORE_LATER
        word[n] = WORD(s, LATER);
        ok = 1;
#else
        swap(WORD(s, STARTED), WORD(s, LATER));
#endif
        if
        :: ok -> atomic { later[n] = id; later_word[n] = WORD(s, LATER) }
        :: else -> give(n, s)
        fi
      fi
    fi;
    atomic { n = 0; s = 0; id = 0; ok = 0; asleep = 0 }
  :: atomic {
      if
      :: CAN_SETTLE(0)
      :: CAN_SETTLE(1)
      :: CAN_SETTLE(2)
      fi;
      promised[id] = 0;
      n = promised_slot[id];
      s = promised_sequence[id];
      promised_slot[id] = 0;
      promised_sequence[id] = 0
    }
    if
    :: left[id] /* it never settles */
    :: carried++;
      ok = 0;
#ifndef NO_ENTRY
      if
      :: later[n] == id ->
#endif
        later[n] = ALL;
#ifdef STORE_BACK
        word[n] = WORD(s, STARTED);
        ok = 1
#else
        swap(WORD(s, LATER), WORD(s, STARTED))
#endif
#ifndef NO_ENTRY
      :: else
      fi
#endif
      ;
      if
      :: ok -> finish()
      :: else -> carried--;
#ifdef GIVE_AGAIN
        give(n, s)
#endif
      fi
    fi;
    atomic { n = 0; s = 0; id = 0; ok = 0; asleep = 0 }
  :: rung -> /* the doorbell */
    rung = 0;
    if
    :: given_up != known ->
      known = given_up;
      n = 0;
      do
      :: n == SLOTS -> break
      :: else ->
        if
        :: later[n] != ALL && word[n] != later_word[n] -> later[n] = ALL
        :: else
        fi;
        n++
      od;
      n = 0
    :: else
    fi
  od
}

proctype Judge() {
end:
  timeout;
  assert(over == CALLERS);
  assert(!taken[0] && later[0] == ALL);
  assert(carried == 0);
  assert(counted[0] == 1 && counted[1] == 1 && counted[2] == 1)
}

init {
  atomic {
    run Caller(0);
    run Caller(1);
    run JavaScript();
    run Judge()
  }
}
