// P18: realms that wait for each other. Each marks for whom it waits, then follows the marks from there; whoever comes
// back to itself is told, and does not wait. Of those that close a circle at one time one at least is told, so nobody
// hangs; nobody is told where there never was a circle, since a mark has a count, and a second walk must find the same
// marks; afterwards no mark is left (native/core/blocking.cc, calls.cc). Three realms, each calls any other from its
// event loop: there it answers the others before and after. One of
// them calls twice; two may send a call, go on, and wait for it later (haft_call_many).
//
// A mark waits in a store buffer unless it is sequentially consistent.
// breaks: MARK_LATE BUFFERED ONE_STEP NO_WALK LOOK_ONCE WALK_ONCE NO_COUNT MARK_STAYS

#define REALMS 3
#define NOBODY 3
#define CALLS(me) ((me) == 1 -> 2 : 1)
#define MANY(me) ((me) != 0) /* it may have several calls sent before it waits */

byte mark[REALMS] = NOBODY;
byte count[REALMS]; /* of its marks: one word with the mark */
bool answers[REALMS] = 1; /* its thread is in its event loop */
byte over;

bool circle[REALMS]; /* stood in one since it marked */
byte one, two;

#ifdef BUFFERED
bool waiting[REALMS];
byte next_mark[REALMS];

proctype Memory(byte r) {
end:
  do
  :: atomic { waiting[r] -> mark[r] = next_mark[r]; waiting[r] = 0 }
  od
}
#endif

inline set_mark(value) {
#ifdef BUFFERED
  atomic { !waiting[me] -> next_mark[me] = value; waiting[me] = 1; circle[me] = 1 /* not looked at */ }
#else
  d_step {
    mark[me] = value;
    count[me]++;
    circle[me] = 0;
    one = value;
    if
    :: one != NOBODY -> two = mark[one]
    :: else -> two = NOBODY
    fi;
    if
    :: two == me -> circle[me] = 1; circle[one] = 1
    :: two != me && two != NOBODY && mark[two] == me -> circle[me] = 1; circle[one] = 1; circle[two] = 1
    :: else
    fi;
    one = 0;
    two = 0
  }
#endif
}

/* The counts that it has read: two on a way that leads here. A count stands for its mark. */
inline walk(read) {
  atomic { at = target; steps = 0; read = 0 }
  do
  :: at == me -> told = 1; break
  :: at == NOBODY || steps == REALMS -> break
  :: else ->
#ifdef ONE_STEP
    if
    :: steps == 1 -> break
    :: else
    fi;
#endif
    atomic {
#ifndef NO_COUNT
      read = read * 16 + count[at];
#endif
      at = mark[at];
      steps++
    }
  od;
  atomic { at = 0; steps = 0 }
}

inline look_round() {
#ifndef NO_WALK
  walk(first);
#ifndef WALK_ONCE
  if
  :: told -> told = 0; walk(second); told = told && first == second
  :: else
  fi;
#endif
  atomic { assert(!told || circle[me]); first = 0; second = 0 }
#else
  skip
#endif
}

inline mark_and_look() {
#ifdef MARK_LATE
  look_round();
  set_mark(target)
#else
  set_mark(target);
  look_round()
#endif
}

proctype Realm(byte me) {
  byte target, at, steps, calls, first, second;
  bool told;
  do
  :: calls == CALLS(me) -> break
  :: else ->
    atomic {
      if
      :: target = (me + 1) % REALMS
      :: target = (me + 2) % REALMS
      fi;
      calls++;
      answers[me] = 0 /* a handler calls */
    }
    mark_and_look();
    if
    :: told
    :: !told ->
      if
      :: true
      :: MANY(me) ->
        set_mark(NOBODY);
#ifndef LOOK_ONCE
        mark_and_look()
#endif
      fi
    fi;
    if
    :: told
    :: answers[target] /* the answer, also where it is told at the same time */
    fi;
#ifndef MARK_STAYS
    set_mark(NOBODY);
#endif
    atomic { answers[me] = 1; told = 0 }
  od;
  over++
}

proctype Judge() {
end:
  timeout;
  assert(over == REALMS);
  assert(mark[0] == NOBODY && mark[1] == NOBODY && mark[2] == NOBODY)
}

init {
  atomic {
#ifdef BUFFERED
    run Memory(0);
    run Memory(1);
    run Memory(2);
#endif
    run Realm(0);
    run Realm(1);
    run Realm(2);
    run Judge()
  }
}
