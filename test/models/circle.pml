// P18: realms that wait for each other. Each marks for whom it waits, then follows the marks from there; whoever comes
// back to itself is told, and does not wait. Of those that close a circle at one time one at least is told, so nobody
// hangs (native/core/blocking.cc). Three realms, each calls any other once.
//
// A mark waits in a store buffer unless it is sequentially consistent.
// breaks: MARK_LATE BUFFERED ONE_STEP NO_WALK

#define REALMS 3
#define NOBODY 3

byte mark[REALMS] = NOBODY;
bool serves[REALMS]; /* has its own answer, or was told: answers the others */
byte over;

bool waiting[REALMS];
byte next_mark[REALMS];

proctype Memory(byte r) {
end:
  do
  :: atomic { waiting[r] -> mark[r] = next_mark[r]; waiting[r] = 0 }
  od
}

inline set_mark(value) {
#ifdef BUFFERED
  atomic { !waiting[me] -> next_mark[me] = value; waiting[me] = 1 }
#else
  mark[me] = value
#endif
}

inline walk() {
#ifndef NO_WALK
  at = target;
  steps = 0;
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
    at = mark[at];
    steps++
  od
#endif
}

proctype Realm(byte me) {
  byte target, at, steps;
  bool told;
  if
  :: target = (me + 1) % REALMS
  :: target = (me + 2) % REALMS
  fi;
#ifdef MARK_LATE
  walk();
  set_mark(target);
#else
  set_mark(target);
  walk();
#endif
  if
  :: told
  :: else -> serves[target] /* the answer */
  fi;
  set_mark(NOBODY);
  serves[me] = 1;
  over++
}

proctype Judge() {
end:
  timeout;
  assert(over == REALMS)
}

init {
  atomic {
    run Memory(0);
    run Memory(1);
    run Memory(2);
    run Realm(0);
    run Realm(1);
    run Realm(2);
    run Judge()
  }
}
