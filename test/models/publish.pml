// P1, P2: JavaScript publishes a free slot by a plain store of the low half of word A (kind, references) and then an
// atomic store of the high half (generation, state), while native threads read and change the word as a whole. Whoever
// sees a generation live sees its own kind, and no reference is lost.
//
// Plain stores of JavaScript wait in a buffer, one a half, and leave it in any order (arm64); an atomic store waits for
// those before it. A handle's number may be known before it is published (generations count up).
// JavaScript deletes by a compare-and-swap of the high half alone, so kind and references stay as they were.
// breaks: HIGH_FIRST PLAIN_HIGH KIND_APART DELETE_BLIND

#define FREE 0
#define LIVE 1
#define ZOMBIE 2
#define LIVES 2

/* Word A. The kind of generation g is g. */
byte generation = 1, state, kind, references;
#ifdef KIND_APART
byte kind_apart;
#endif

/* JavaScript's buffer. */
bool low_waits, high_waits;
byte low_kind, high_generation;

byte on_list; /* the slot is on the reclaim list */
byte held;    /* references that native threads have, of the generation that is live */

proctype Memory() {
end:
  do
  :: atomic { low_waits -> kind = low_kind; references = 1; low_waits = 0 }
#ifdef PLAIN_HIGH
  :: atomic { high_waits -> generation = high_generation; state = LIVE; high_waits = 0 }
#else
  :: atomic { high_waits && !low_waits -> generation = high_generation; state = LIVE; high_waits = 0 }
#endif
  od
}

proctype JavaScript() {
  byte life = 1;
  do
  :: life > LIVES -> break
  :: else ->
    atomic { !low_waits && !high_waits -> assert(state == FREE && generation == life && on_list == 0) }
#ifdef KIND_APART
    kind_apart = life;
#endif
#ifdef HIGH_FIRST
    atomic { high_generation = life; high_waits = 1 }
    !high_waits;
    atomic { low_kind = life; low_waits = 1 }
#else
    atomic { low_kind = life; low_waits = 1 }
    atomic { high_generation = life; high_waits = 1 }
#endif
    if
    :: /* delete: by compare-and-swap, at any time */
      !low_waits && !high_waits;
#ifdef DELETE_BLIND
      generation = life + 1;
      atomic { state = FREE; held = 0 }
#else
      atomic {
        if
        :: state == LIVE -> generation = life + 1; state = FREE; held = 0
        :: else -> on_list > 0; on_list = 0; generation = life + 1; state = FREE
        fi
      }
#endif
    :: /* release of the creator's reference, and the drain */
      !low_waits && !high_waits;
      atomic {
        assert(state == LIVE && references > 0);
        references--;
        if
        :: references == 0 -> state = ZOMBIE; on_list = 1
        :: else
        fi
      }
      atomic { on_list > 0 -> on_list = 0; generation = life + 1; state = FREE; held = 0 }
    fi;
    life++
  od
}

/* Retains, looks at the kind, releases; knows the handles of all lives. */
proctype Native() {
  byte g, n, seen;
  bool mine;
  do
  :: n == LIVES -> break
  :: else ->
    if
    :: g = 1
    :: g = 2
    fi;
    mine = 0;
    atomic {
      if
      :: state == LIVE && generation == g -> references++; held++; mine = 1; assert(kind == g && references > 1)
      :: else
      fi
    }
#ifdef KIND_APART
    if
    :: atomic { generation == g && state == LIVE -> skip }
      seen = kind_apart;
      assert(seen == g)
    :: else
    fi;
#endif
    if
    :: mine ->
      atomic {
        if
        :: state == LIVE && generation == g ->
          assert(references >= held);
          references--;
          held--;
          if
          :: references == 0 -> state = ZOMBIE; on_list = 1
          :: else
          fi
        :: else
        fi
      }
    :: else
    fi;
    n++
  od
}

init {
  atomic {
    run Memory();
    run JavaScript();
    run Native();
    run Native()
  }
}
