// P10, P12: no wake-up is lost. Two producers (two messages, one message) publish, fence, look at the mask and at `armed`; the drain clears the
// mask, drains, arms, and looks again. It may stop at its budget, and it may linger with the bit of one shard left set
// (native/core/mailbox.cc, src/messages/mailbox.ts).
//
// A producer's store of a sequence number waits in a store buffer until a fence or until it pleases; its fetch_or may
// still be on its way when it loads `armed`, unless a fence stands between (arm64 without LSE). JavaScript's Atomics
// are sequentially consistent.
// breaks: NO_FENCE NO_SECOND_FENCE NO_LOOK_AFTER_ARMED PLAIN_ARMED CLEAR_AFTER_DRAIN NO_RING_FOR_REST NO_BIT_FOR_REST LINGER_NO_LOOK

#define PRODUCERS 2
#define MESSAGES(p) (2 - (p)) /* of each producer */
#define ALL 3
#define BIT(shard) (1 << (shard))

byte tail[2];            /* claimed */
bool published[8];       /* shard * 4 + position */
byte head[2];            /* the drain's own */
byte consumed;
byte dirty;
bool armed = 1;
byte rings;
bool asleep;
byte finished;

/* Store buffers: one store of a producer, and JavaScript's own of `armed` where it were a plain one. */
bool waiting[PRODUCERS];
byte where[PRODUCERS];
bool armed_waiting;

proctype Memory(byte p) {
end:
  do
  :: atomic { waiting[p] -> published[where[p]] = 1; waiting[p] = 0 }
  od
}

proctype Armer() {
end:
  do
  :: atomic { armed_waiting -> armed = 1; armed_waiting = 0 }
  od
}

#define FENCE !waiting[me]

proctype Producer(byte me) {
  byte n, shard;
  bool was, early;
  do
  :: n == MESSAGES(me) -> break
  :: else ->
    if
    :: shard = 0
    :: shard = 1
    fi;
    atomic { FENCE; where[me] = shard * 4 + tail[shard]; tail[shard]++; waiting[me] = 1 }
#ifndef NO_FENCE
    FENCE;
#endif
    if
    :: dirty & BIT(shard)
    :: else ->
      early = 0;
#ifdef NO_SECOND_FENCE
      if
      :: early = 1; was = armed
      :: skip
      fi;
#endif
      atomic { FENCE; dirty = dirty | BIT(shard) } /* its release part keeps the sequence number before it */
      if
      :: early
      :: else -> was = armed
      fi;
      if
      :: !was
      :: else ->
        atomic {
          if
          :: armed -> armed = 0; rings++
          :: else
          fi
        }
      fi
    fi;
    n++
  od;
  finished++
}

byte mask, rest, watched;
bool can_linger, again;

inline drain_shard(s) {
  do
  :: published[s * 4 + head[s]] ->
    if
    :: atomic { published[s * 4 + head[s]] -> head[s]++; consumed++ }
    :: rest = rest | BIT(s); break /* the budget */
    fi
  :: else -> break
  od
}

inline drain_mask() {
  rest = 0;
  if
  :: mask & BIT(0) -> drain_shard(0)
  :: else
  fi;
  if
  :: mask & BIT(1) -> drain_shard(1)
  :: else
  fi
}

inline come_back() {
#ifndef NO_BIT_FOR_REST
  dirty = dirty | rest;
#endif
#ifndef NO_RING_FOR_REST
  rings++;
#endif
  skip
}

proctype Drain() {
  byte looks;
sleep:
  asleep = 1;
end:
  atomic { rings > 0 -> rings = 0; asleep = 0 }
top:
#ifdef CLEAR_AFTER_DRAIN
  mask = dirty;
  drain_mask();
  atomic { dirty = dirty & ~mask }
#else
  atomic { mask = dirty; dirty = 0 }
  drain_mask();
#endif
  if
  :: rest != 0 -> come_back(); goto sleep
  :: else
  fi;
  if
  :: dirty != 0 -> goto top
  :: else
  fi;
  if
  :: skip
  :: /* lingers for calls, at either shard */
    if
    :: watched = 0
    :: watched = 1
    fi;
    dirty = dirty | BIT(watched);
    looks = 0;
    again = 0;
    do
    :: looks == 1 -> break
    :: else ->
      if
      :: published[watched * 4 + head[watched]] ->
        rest = 0;
        drain_shard(watched);
        if
        :: rest != 0 -> again = 1; break
        :: else
        fi
      :: else
      fi;
      if
      :: dirty != BIT(watched) -> again = 1; break
      :: else
      fi;
      looks++
    od;
    if
    :: again -> goto top
    :: else
    fi;
    atomic { mask = dirty; dirty = 0 }
#ifndef LINGER_NO_LOOK
    drain_mask();
    if
    :: rest != 0 -> come_back(); goto sleep
    :: else
    fi
#endif
  fi;
#ifdef PLAIN_ARMED
  armed_waiting = 1;
#else
  armed = 1;
#endif
#ifndef NO_LOOK_AFTER_ARMED
  if
  :: dirty == 0 -> goto sleep
  :: else
  fi;
  atomic {
    if
    :: !armed && !armed_waiting -> goto sleep /* a producer rings */
    :: else -> armed = 0; armed_waiting = 0
    fi
  };
  goto top;
#else
  goto sleep;
#endif
}

/* When nothing moves any more, everything must have arrived. */
proctype Judge() {
end:
  timeout;
  assert(finished == PRODUCERS);
  assert(consumed == ALL)
}

init {
  atomic {
    run Memory(0);
    run Memory(1);
    run Armer();
    run Producer(0);
    run Producer(1);
    run Drain();
    run Judge()
  }
}
