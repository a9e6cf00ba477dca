// P3, P5: a message that was posted before the last release still finds its object, and a slot is freed once. The drain
// takes the reclaim list, then reads the tails, drains the mailboxes to there over as many turns as it needs, and only
// then frees (src/messages/mailbox.ts). Two threads have a reference each; each posts to a mailbox of its own, the second one
// with the slot's handle as an argument, and then releases. JavaScript may delete the handle.
//
// A message that is claimed may be published much later.
// breaks: LIST_LAST TAILS_FIRST NO_TAILS PUSH_BEFORE_CLAIM DELETE_ZOMBIE

#define FREE 0
#define LIVE 1
#define ZOMBIE 2

byte state = LIVE;
byte references = 2;
bool on_list;
bool deleted;
byte freed;
byte tail[2], head[2];
bool published[2];
byte done;

proctype Thread(byte me) {
  bool mine;
#ifdef PUSH_BEFORE_CLAIM
  /* The release is seen before the claim: as if the one did not order the other. */
  if
  :: skip
  :: goto release
  fi;
#endif
  tail[me]++;
  published[me] = 1;
release:
  atomic {
    if
    :: state == LIVE ->
      references--;
      if
      :: references == 0 -> state = ZOMBIE; mine = 1
      :: else
      fi
    :: else
    fi
  }
  if
  :: mine -> on_list = 1
  :: else
  fi;
#ifdef PUSH_BEFORE_CLAIM
  if
  :: tail[me] == 0 -> tail[me]++; published[me] = 1
  :: else
  fi;
#endif
  done++
}

byte want[2];
bool taken;

inline deliver(s) {
  /* One message, if it is there: its object must be there too, unless JavaScript deleted it. */
  if
  :: atomic { published[s] && head[s] == 0 -> head[s] = 1; assert(freed == 0 || deleted) }
  :: skip
  fi
}

inline free_slot() {
  atomic {
    freed++;
    assert(freed == 1);
    state = FREE;
    taken = 0
  }
}

proctype JavaScript() {
  byte turns;
  do
  :: turns == 3 && done == 2 && !on_list && !taken -> break
  :: else ->
    if
    :: turns < 3 -> turns++
    :: else
    fi;
#ifdef TAILS_FIRST
    if
    :: !taken -> want[0] = tail[0]; want[1] = tail[1]
    :: else
    fi;
#endif
#ifndef LIST_LAST
    atomic {
      if
      :: !taken && on_list -> on_list = 0; taken = 1
      :: else -> goto drain
      fi
    }
#ifndef TAILS_FIRST
    want[0] = tail[0];
    want[1] = tail[1];
#endif
#endif
  drain:
    deliver(0);
    deliver(1);
#ifdef LIST_LAST
    atomic {
      if
      :: !taken && on_list -> on_list = 0; taken = 1
      :: else
      fi
    }
#endif
#ifdef NO_TAILS
    want[0] = head[0];
    want[1] = head[1];
#endif
    if
    :: taken && head[0] >= want[0] && head[1] >= want[1] -> free_slot()
    :: else
    fi;
    if
    :: skip
    :: atomic { /* delete: by compare-and-swap; a zombie is stale to it */
        if
        :: state == LIVE -> state = FREE; deleted = 1; freed++; assert(freed == 1)
#ifdef DELETE_ZOMBIE
        :: state == ZOMBIE -> state = FREE; deleted = 1; freed++; assert(freed == 1)
#endif
        :: else
        fi
      }
    fi
  od;
  /* The object ends, whoever ended it. */
  assert(freed == 1)
}

init {
  atomic {
    run Thread(0);
    run Thread(1);
    run JavaScript()
  }
}
