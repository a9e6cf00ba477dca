// P5, and an object that moves: JavaScript gives the new handle the references of the old one and one for the old slot,
// marks that MOVED by compare-and-swap, then writes where to into the link. Who finds the mark follows it. A sender looks
// for the mark after its claim; JavaScript reads the tails after the mark, sends on what was claimed until then, and then
// gives the old slot's reference back. No reference is lost or given back twice, the new object does not end while a
// holder or a message needs it, the reclaim list, which has the same links, stays whole, and a slot's next life does not
// answer for the last (native/core/slots.cc, send.cc, src/registry.ts, mailbox.ts). Two threads hold the first life of
// slot X, one of them posts; the other has the second life too, which moves as well, and releases slot Y of the list.
//
// The addition to the new handle's references, and the claim, wait in a buffer unless what follows orders them.
// breaks: LINK_FIRST BLIND_MARK REFERENCES_LATE MARK_RELAXED NO_SECOND_LOOK NOT_TAKEN_BACK LINK_KEPT NO_COMPARE NOT_KEPT NO_TAILS TAILS_FIRST NO_LOOK CLAIM_BUFFERED

#define FREE 0
#define LIVE 1
#define ZOMBIE 2
#define MOVED 3
#define WORD(g, state, n) ((g) * 64 + (state) * 16 + (n)) /* generation, state, references */
#define GENERATION(w) ((w) / 64)
#define STATE(w) ((w) / 16 % 4)
#define REFERENCES(w) ((w) % 16)
#define X 1
#define Y 2
#ifdef NOT_KEPT
#define KEPT 0
#else
#define KEPT 1 /* reference of the old slot */
#endif
#define NEW(g) (10 + (g)) /* the new handle of a life; below that, a link of the list */

byte word[3], link[3];
byte first; /* of the reclaim list */
byte freed[3];

/* The new objects, by the life of X that they were. */
byte references[3] = 1;
bool dropped[3];
byte lost[3]; /* references whose holders asked too late */
bool is_moved[3];

/* One message to the first life. */
bool sending, claimed, claim_waits, published, withdrawn, arrived;
bool wanted; /* it was claimed when JavaScript read the tails */

byte begun; /* lives of X */
byte waiting_references;
byte waiting_for;

inline let_through() {
#ifdef MARK_RELAXED
  skip
#else
  waiting_references == 0
#endif
}

proctype Memory() {
end:
  do
  :: atomic { waiting_references > 0 ->
      references[waiting_for] = references[waiting_for] + waiting_references;
      waiting_references = 0
    }
  :: atomic { claim_waits -> claimed = 1; claim_waits = 0 }
  od
}

/* Of a new handle, by whoever has one of its references. */
inline release_new(g) {
  atomic {
    assert(references[g] > 0 && !dropped[g]);
    references[g]--;
    dropped[g] = (references[g] == 0)
  }
}

inline push(slot) {
  do
  :: head = first;
    link[slot] = head;
    atomic {
      if
      :: first == head -> first = slot; break
      :: else
      fi
    }
  od;
  head = 0
}

/* Holds one reference of a life of X, and gives it back, wherever that is. One posts before; the other takes another
   reference maybe, releases Y, and then has the second life too. */
proctype Holder(bool posts) {
  byte g = 1, w, held, head, to;
again:
  begun >= g;
  held = 1;
  if
  :: posts ->
    if
    :: true
    :: atomic { word[X] / 16 == WORD(g, LIVE, 0) / 16 -> sending = 1 }
#ifdef CLAIM_BUFFERED
      claim_waits = 1;
#else
      claimed = 1;
#endif
#ifndef NO_LOOK
      if
      :: word[X] / 16 == WORD(g, MOVED, 0) / 16 -> withdrawn = 1
      :: else
      fi;
#endif
      !claim_waits; /* publishing and releasing come after it */
      atomic { published = 1; sending = 0 }
    fi
  :: else ->
    atomic { /* one step: it does not matter which word it saw before */
      if
      :: word[X] / 16 == WORD(g, LIVE, 0) / 16 -> word[X]++; held++
      :: true
      fi
    }
    if
    :: g == 1 -> word[Y] = WORD(1, ZOMBIE, 0); push(Y)
    :: else
    fi
  fi;
  do
  :: held == 0 -> break
  :: else ->
    w = word[X];
    if
    :: GENERATION(w) == g && STATE(w) == LIVE ->
      atomic {
        if
        :: word[X] != w -> w = 0
        :: word[X] == w && REFERENCES(w) > 1 -> word[X] = w - 1; held--; w = 0
        :: word[X] == w && REFERENCES(w) == 1 -> word[X] = WORD(g, ZOMBIE, 0); held--
        fi
      }
      if
      :: w != 0 -> push(X)
      :: else
      fi
    :: GENERATION(w) == g && STATE(w) == MOVED ->
      to = link[X];
#ifndef NO_SECOND_LOOK
      if
      :: word[X] / 16 != w / 16 -> to = 0
      :: else
      fi;
#endif
      if
      :: to >= NEW(0) ->
        assert(to == NEW(g));
        release_new(g);
        held--
      :: else
      fi
    :: else -> /* forgotten: STALE */
      assert(is_moved[g]);
      atomic { lost[g] = lost[g] + held; held = 0 }
    fi;
    atomic { w = 0; to = 0 }
  od;
  if
  :: !posts && g == 1 -> g = 2; goto again
  :: else
  fi
}

inline move(g) {
  given = 1;
  do
  :: w = word[X];
    if
    :: STATE(w) != LIVE ->
#ifndef NOT_TAKEN_BACK
      atomic { waiting_references == 0 -> references[g] = references[g] - (given - 1) };
#endif
      release_new(g);
      break
    :: else
    fi;
#ifndef REFERENCES_LATE
    if
    :: REFERENCES(w) + KEPT > given ->
      atomic { waiting_references == 0 -> waiting_references = REFERENCES(w) + KEPT - given; waiting_for = g }
    :: REFERENCES(w) + KEPT < given ->
      atomic { waiting_references == 0 -> references[g] = references[g] - (given - KEPT - REFERENCES(w)) }
    :: else
    fi;
    given = REFERENCES(w) + KEPT;
#endif
#ifdef LINK_FIRST
    link[X] = NEW(g);
#endif
    let_through();
    atomic {
#ifndef BLIND_MARK
      if
#ifdef NO_COMPARE
      :: STATE(word[X]) != LIVE -> goto again
#else
      :: word[X] != w -> goto again
#endif
      :: else
      fi;
#endif
      word[X] = WORD(g, MOVED, KEPT);
      is_moved[g] = 1
    }
#ifndef LINK_FIRST
    link[X] = NEW(g);
#endif
#ifdef REFERENCES_LATE
    atomic { references[g] = references[g] + REFERENCES(w) + KEPT - 1 };
#endif
    break;
  again:
    skip
  od;
  w = 0
}

/* The object must be there, wherever it is. */
inline deliver() {
  atomic {
    published && !arrived;
    arrived = 1;
    assert(withdrawn || (is_moved[1] -> !dropped[1] && word[X] / 16 == WORD(1, MOVED, 0) / 16 : freed[X] == 0))
  }
}

inline drain_to_tails() {
  if
  :: wanted && !arrived -> deliver()
  :: else
  fi
}

inline drain() {
  atomic { chain = first; first = 0 }
  wanted = claimed;
  drain_to_tails();
  do
  :: chain == 0 -> break
  :: else ->
    assert(chain <= Y); /* not a handle */
    at = chain;
    chain = link[at];
    atomic {
      assert(STATE(word[at]) == ZOMBIE);
      freed[at]++;
      word[at] = WORD(GENERATION(word[at]) + 1, FREE, 0)
    }
  od;
  at = 0
}

/* The old slot keeps the object until its messages have been sent on. */
inline let_go(g) {
  if
  :: STATE(word[X]) == MOVED ->
#ifndef NO_TAILS
#ifndef TAILS_FIRST
    wanted = claimed;
#endif
    drain_to_tails();
#endif
#ifndef NOT_KEPT
    word[X] = WORD(g, MOVED, 0);
    waiting_references == 0; /* its own are in order */
    release_new(g)
#endif
  :: else
  fi
}

inline end_life(g) {
  do
  :: STATE(word[X]) == FREE -> break
  :: STATE(word[X]) == MOVED && !sending -> /* forgets it: 65,536 moves later */
#ifndef LINK_KEPT
    link[X] = 0;
#endif
    atomic { freed[X]++; word[X] = WORD((g) + 1, FREE, 0) }
  :: STATE(word[X]) == ZOMBIE && first != 0 -> drain()
  od
}

proctype JavaScript() {
  byte w, given, chain, at;
  atomic { word[X] = WORD(1, LIVE, 2); begun = 1 }
#ifdef TAILS_FIRST
  wanted = claimed;
#endif
  move(1);
  let_go(1);
  end_life(1);
  atomic { word[X] = WORD(2, LIVE, 1); begun = 2 }
  move(2);
  let_go(2);
  do
  :: first != 0 -> drain()
  :: published && !arrived -> deliver()
  :: timeout -> break
  od;
  end_life(2);
  assert(!wanted || arrived);
  assert(freed[X] == 2 && freed[Y] == 1);
  w = 1;
  do
  :: w > 2 -> break
  :: else ->
    assert(references[w] == lost[w] && dropped[w] == (lost[w] == 0));
    w++
  od
}

init {
  atomic {
    word[Y] = WORD(1, LIVE, 1);
    run Memory();
    run Holder(0);
    run Holder(1);
    run JavaScript()
  }
}
