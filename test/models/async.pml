// P15: a call that no thread waits for is completed exactly once if it was accepted, and never if it was refused: by
// JavaScript's wake-up, by the clock at its deadline, or by the realm's end, whoever takes its entry under the lock. What
// a sender that finds no room takes back may have been completed meanwhile. Each call is counted once, and its reply
// slot freed once (native/core/async.cc, replies.cc, realm.cc, src/messages/replies.ts). Call 0 has a deadline, call 1 has none;
// call 2 is a thread that waits. All share one slot, so that a wake-up may come late, for the call before.
//
// What stands under the lock is one step here.
// breaks: NOT_TAKEN NO_WORD_CHECK NO_ERASE FORGET_BLIND NOT_GIVEN NOT_COUNTED NO_CLOSE ANSWER_LEFT STORE_ABANDONED LATER_KEPT

#define DONE 0
#define STARTED 1
#define ABANDONED 2
#define LATER 3
#define WORD(s, state) (((s) << 2) | (state))
#define PENDING(s) WORD((s) - 1, DONE)
#define WAITS(s) (word == PENDING(s) || word == WORD(s, STARTED) || word == WORD(s, LATER))

#define OPEN 0
#define CLOSING 1
#define CLOSED 2

#define AWAKE 0
#define ASLEEP 1
#define NOBODY 2

byte life = OPEN;
byte in_flight;
bool waits; /* the thread of call 2 */
bool stopped;  /* JavaScript */
bool recycled; /* the realm's memory is another's */

/* The reply slot. */
byte word, sequence, sleeper, value;
bool taken;

/* What the completion needs: token 0 where there is nothing. */
byte token, entry;
bool expires; /* in the clock's list */

byte answered[3]; /* completions, or answers that call 2 read */
byte counted[3];  /* as delivered, expired or refused */
bool accepted[3], refused[3];

chan mailbox = [3] of { byte, byte }; /* sequence, number of the call */

inline give(s) {
  atomic {
    assert(taken && !recycled);
    word = WORD(s, DONE);
    sleeper = AWAKE;
    taken = 0
  }
}

/* In an atomic step. A caller that abandons LATER frees the slot. */
inline abandon(s) {
  won = 0;
  if
#ifdef STORE_ABANDONED
  :: true ->
#else
  :: WAITS(s) ->
#endif
    won = 1;
    if
    :: word == WORD(s, LATER) ->
      word = WORD(s, ABANDONED);
#ifndef LATER_KEPT
      give(s)
#endif
    :: else -> word = WORD(s, ABANDONED)
    fi
#ifndef STORE_ABANDONED
  :: else
#endif
  fi
}

/* With the lock held, so in an atomic step. */
inline take_entry(id) {
  id = entry;
#ifndef NOT_TAKEN
  token = 0;
#endif
#ifndef NO_ERASE
  expires = 0
#endif
}

inline take_slot() {
  assert(!recycled);
  taken = 1;
  sequence++;
  s = sequence
}

proctype Caller(byte id) {
  byte s, unused;
  bool ours;
#ifndef NOT_COUNTED
  in_flight++;
#endif
  if
  :: life != OPEN -> goto fails
  :: else
  fi;
  atomic {
    if
    :: taken -> goto fails
    :: else -> take_slot()
    fi
  }
  atomic { token = s; entry = id; expires = expires || (id == 0) } /* keep */
  sleeper = NOBODY;
  if
  :: life == OPEN -> mailbox!s, id; accepted[id] = 1; goto out
  :: true -> /* no room, or the realm is closing */
    atomic { /* forget */
      ours = (token == s);
      if
      :: ours -> take_entry(unused)
      :: else
      fi
    }
#ifdef FORGET_BLIND
    ours = 1;
#endif
#ifdef NOT_GIVEN
    if
    :: ours -> give(s)
    :: else
    fi;
#else
    give(s);
#endif
    if
    :: ours -> goto fails
    :: else -> accepted[id] = 1; goto out
    fi
  fi;
fails:
  atomic { counted[id]++; refused[id] = 1 }
out:
  atomic {
#ifndef NOT_COUNTED
    in_flight--;
#endif
    s = 0; unused = 0; ours = 0
  }
}

/* An ordinary call. Sleeps at most once, and may wake by itself. */
proctype Waiter() {
  byte s;
  bool won;
  atomic {
    if
    :: life == OPEN && !taken -> take_slot(); waits = 1; mailbox!s, 2
    :: true -> goto out /* it never calls */
    fi
  }
  if
  :: sleeper = ASLEEP
  :: true
  fi;
  if
  :: !WAITS(s)
  :: life != OPEN
  fi;
  atomic {
    abandon(s);
    if
    :: won -> counted[2]++ /* expired, or refused */
    :: else
    fi
  }
  if
  :: !won ->
    assert(word == WORD(s, DONE) && value == 3);
    answered[2]++;
    give(s)
  :: else
  fi;
  waits = 0;
out:
  skip
}

inline swap(from, to) {
  atomic {
    if
    :: word == from -> word = to; won = 1
    :: else -> won = 0
    fi
  }
}

inline finish() {
  value = id + 1;
  swap(WORD(s, STARTED), WORD(s, DONE));
  if
  :: !won -> give(s)
  :: else ->
    counted[id]++;
    wake = (sleeper != AWAKE)
  fi
}

/* Takes no more steps at any point of the realm's end, as a realm whose own thread closes it or goes. */
proctype JavaScript() {
  byte s, id;
  bool won, wake;
  byte promised[3];
end:
  do
  :: life != OPEN -> break
  :: wake -> /* before the next handler: realm_wake */
    wake = 0;
    if
    :: sleeper != NOBODY
    :: else ->
      atomic {
        if
#ifdef NO_WORD_CHECK
        :: token != 0 ->
#else
        :: token != 0 && word == WORD(token, DONE) ->
#endif
          s = token;
          take_entry(id);
          won = 1
        :: else -> won = 0
        fi
      }
      if
      :: won -> assert(value == id + 1); give(s); answered[id]++
      :: else
      fi
    fi
  :: !wake && nempty(mailbox) ->
    mailbox?s, id;
    swap(PENDING(s), WORD(s, STARTED));
    if
    :: !won -> give(s)
    :: else ->
      if
      :: life != OPEN -> break /* the handler never comes back */
      :: true -> finish()
      :: true -> swap(WORD(s, STARTED), WORD(s, LATER));
        if
        :: won -> promised[id] = s
        :: else -> give(s)
        fi
      fi
    fi
  :: !wake && (promised[0] != 0 || promised[1] != 0 || promised[2] != 0) ->
    atomic {
      if
      :: promised[0] != 0 -> id = 0
      :: promised[1] != 0 -> id = 1
      :: promised[2] != 0 -> id = 2
      fi;
      s = promised[id];
      promised[id] = 0
    }
    swap(WORD(s, LATER), WORD(s, STARTED));
    if
    :: won -> finish()
    :: else
    fi
  od;
  stopped = 1
}

proctype Clock() {
  byte id;
  bool won;
end:
  do
  :: atomic {
      expires -> /* the time of the first in the list is over */
      expires = 0;
      won = 0;
      if
      :: life != CLOSED && token != 0 ->
        in_flight++;
        abandon(token);
        if
        :: won -> take_entry(id); counted[id]++
        :: else
        fi;
        in_flight--
      :: else
      fi
    }
    if
    :: won -> assert(id == 0); answered[id]++
    :: else
    fi
  od
}

inline end_calls() {
  atomic {
    end_one = (token != 0);
    if
    :: end_one ->
      s = token;
      abandon(s);
#ifdef ANSWER_LEFT
      if
      :: won -> take_entry(id)
      :: else -> end_one = 0
      fi
#else
      take_entry(id)
#endif
    :: else
    fi
  }
  if
  :: end_one && won -> atomic { counted[id]++; answered[id]++ }
  :: end_one && !won -> assert(value == id + 1); give(s); answered[id]++
  :: else
  fi
}

proctype Closer() {
  byte s, id;
  bool won, end_one;
  if
  :: goto out
  :: life = CLOSING
  fi;
#ifndef NO_CLOSE
  end_calls();
#endif
  !waits;
  in_flight == 0;
  assert(token == 0); /* so its second look finds nothing */
  life = CLOSED;
  in_flight == 0;
  if
  :: stopped -> recycled = 1
  :: else /* the process ends */
  fi;
out:
  skip
}

proctype Judge() {
end:
  timeout;
  assert(accepted[0] != refused[0] && answered[0] == accepted[0] && counted[0] == 1);
  assert(accepted[1] != refused[1] && answered[1] == accepted[1] && counted[1] == 1);
  assert(counted[2] <= 1);
  assert(token == 0);
  assert(!waits && (!taken || life == CLOSED))
}

init {
  atomic {
    run Caller(0);
    run Caller(1);
    run Waiter();
    run JavaScript();
    run Clock();
    run Closer();
    run Judge()
  }
}
