// P21: when a realm that closes has waited, nobody is at work in it, and nobody of its time is at work in the next
// realm of the same number. A native operation counts itself in, or claims a cell of a ring, and then looks at the
// realm; the realm changes its state and then looks at the counts and the rings (native/core/process.h, realm.cc,
// mailbox.cc). A caller that waited may still finish while the realm is closing, so the realm looks once more when it is
// closed, and only then is its number free.
//
// The closer's stores wait in a buffer unless they are sequentially consistent; so does an increment.
// breaks: LOOK_FIRST STORE_BUFFERED COUNT_BUFFERED CLAIM_LATE ONE_WAIT ANY_STATE OWN_COUNTED

#define OPEN 1
#define CLOSING 2
#define CLOSED 3
#define TAKEN 4 /* being made free, or opened again; the id stays until then */

byte life = OPEN, id = 1;
byte count;
byte claimed, published;
byte edge = 1;    /* whose doorbell there is; 0: none */
byte memory = 1;  /* whose memory it is */

bool life_waits;
byte life_next;
byte count_waits;

proctype Memory() {
end:
  do
  :: atomic { life_waits -> life = life_next; life_waits = 0 }
  :: atomic { count_waits > 0 -> count++; count_waits-- }
  od
}

inline count_in() {
#ifdef COUNT_BUFFERED
  count_waits++
#else
  count++
#endif
}

inline count_out() {
#ifdef COUNT_BUFFERED
  atomic { count_waits == 0 -> count-- }
#else
  count--
#endif
}

/* As a last release: needs the realm open. */
proctype Operation() {
  bool ok;
#ifdef LOOK_FIRST
  ok = (life == OPEN && id == 1);
  count_in();
#else
  count_in();
  ok = (life == OPEN && id == 1);
#endif
  if
  :: ok -> assert(memory == 1); assert(edge == 1)
  :: else
  fi;
  count_out()
}

/* A caller that waited, and now gives up or reads its answer: may do so while the realm is closing. */
proctype Waiter() {
  bool ok;
  count_in();
#ifdef ANY_STATE
  ok = (id == 1);
#else
  ok = (id == 1 && (life == OPEN || life == CLOSING));
#endif
  if
  :: ok -> assert(memory == 1)
  :: else
  fi;
  count_out()
}

/* A post: its claim counts it in until it is published; then it is counted to ring. */
proctype Poster() {
  bool ok;
#ifdef CLAIM_LATE
  ok = (life == OPEN && id == 1);
  claimed++;
#else
  claimed++;
  ok = (life == OPEN && id == 1);
#endif
  if
  :: ok -> assert(memory == 1) /* writes its message */
  :: else /* withdraws: the ring's positions go on, whoever has it */
  fi;
  published++;
  count_in();
  ok = (life == OPEN && id == 1);
  if
  :: ok -> assert(edge == 1)
  :: else
  fi;
  count_out()
}

#define QUIET (count == 0 && published == claimed)

inline set_life(next) {
#ifdef STORE_BUFFERED
  atomic { life_next = next; life_waits = 1 }
#else
  life = next
#endif
}

proctype Closer() {
#ifdef OWN_COUNTED
  count_in(); /* P22: a handler that closes its realm */
#endif
  set_life(CLOSING);
  QUIET;
#ifdef ONE_WAIT
  edge = 0;
  set_life(CLOSED);
#else
  set_life(CLOSED);
  QUIET;
  edge = 0;
#endif
  !life_waits;
  life = TAKEN;
  memory = 2;
  atomic { id = 2; life = OPEN }
  edge = 2
}

init {
  atomic {
    run Memory();
    run Operation();
    run Waiter();
    run Poster();
    run Closer()
  }
}
