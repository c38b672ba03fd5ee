/* A model of the executor (native/core/worker.cpp, coordinator.cpp and calls.cpp) for the model checker spin: the same reads and writes of shared
 * words in the same order, each one step, under sequential consistency. Sleeps never time out while a program is live or
 * the team closes, so that a lost wake-up or a missed ending shows as a deadlock. Not part of the build; scripts/check-model.sh runs it,
 * src/team/README.md says what was checked. */

/* Left out: spinning, slices and yields (they only look again sooner), the coordinator's assist (it visits like a
 * worker), and which CPU a thread runs on. */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef RUNS
#define RUNS 2
#endif
#ifndef CANCELS
#define CANCELS 1
#endif
#ifndef FAILURES
#define FAILURES 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
/* 1: the program is one op with a tile for each worker, and a tile waits until all others have begun. So it comes to an end only
 * if every worker comes to it, and that is the end of the model. A worker dies only when it is called or calls another. */
#ifndef GATE
#define GATE 0
#endif
/* Which memory order is weakened; see scripts/check-model.sh. For each, the model does two accesses in the other order, as a CPU or a
 * compiler may do where the order is relaxed. 0: none, everything is sequentially consistent. */
#ifndef WEAK
#define WEAK 0
#endif
#define SLOTS 2
#if GATE
#define OPS 1
#define RESET ran[0] = 0; running_tiles = 0
#define COMPLETE (ran[0] == WORKERS)
#define INCOMPLETE (ran[0] < WORKERS)
#else
#define OPS 3
#define RESET ran[0] = 0; ran[1] = 0; ran[2] = 0
#define COMPLETE (ran[0] == 1 && ran[1] == 1 && ran[2] == 2)
#define INCOMPLETE (ran[0] + ran[1] + ran[2] < 4)
#endif
#define BIT(s) (1 << (s))

byte tile_count[OPS];
byte after[OPS];

/* The program. `freed` is a ghost variable: its memory was freed. */
byte prefix, claimed[OPS], done[OPS];
bool freed = true;

/* The control block. */
byte live;
bool slot_program[SLOTS], cancelled[SLOTS];
byte slot_run[SLOTS], visitors[SLOTS];
byte sleepers, owed, calls_owed;
bool on_shift[WORKERS], closing;
byte inside[WORKERS];

/* The bell and the endings are reduced to: has the counter changed since it was read? */
bool rung[WORKERS], ending;

/* Who is asleep: workers on the bell, workers in Atomics.wait on the seat's state, the main thread in Atomics.waitAsync
 * on the endings. */
bool asleep[WORKERS], away_asleep[WORKERS], main_waits;

/* Threads that ended, and threads that were started to replace them. */
bool died[WORKERS], replaced[WORKERS];

/* Ghost variables: tiles computed in this run, tiles being computed, whether no tile may begin any more. */
byte ran[OPS], running_tiles;
bool over = true;
byte failures_left = FAILURES;
byte deaths_left = DEATHS;

/* A thread wakes one sleeper itself and leaves the others to it; in the executor it wakes two. */
inline wake_one(owes) {
  atomic {
    n = 1;
    do
    :: n > 0 && asleep[0] -> asleep[0] = false; n--
#if WORKERS > 1
    :: n > 0 && asleep[1] -> asleep[1] = false; n--
#endif
#if WORKERS > 2
    :: n > 0 && asleep[2] -> asleep[2] = false; n--
#endif
    :: else -> break
    od
  }
  atomic {
    if
    :: n > 0 && owed == owes -> owed = 0
    :: else
    fi;
    n = 0; owes = 0
  }
}

inline pass_on(owes) {
  atomic {
    owes = owed;
    if
    :: owed > 0 -> owed--; owes--; n = 1
    :: else
    fi
  }
  if
  :: n > 0 -> wake_one(owes)
  :: else
  fi
}

inline wake(count, owes) {
  atomic {
#if WEAK == 3
    owes = early;
#else
    owes = sleepers;
#endif
    if
    :: owes > count -> owes = count
    :: else
    fi
  }
  if
  :: owes == 0
  :: owes != 0 ->
     if
     :: owes > 1 -> atomic { owed = owed + owes - 1; owes = owed }
     :: else -> owes = 0
     fi;
     wake_one(owes)
  fi
}

inline change_bell() {
#if WEAK == 3
  early = sleepers;
#endif
  atomic {
    rung[0] = true;
#if WORKERS > 1
    rung[1] = true;
#endif
#if WORKERS > 2
    rung[2] = true;
#endif
    skip
  }
}

inline ring(count, owes) {
  change_bell();
  wake(count, owes)
}

inline ring_for_all() {
  change_bell();
  if
#if WEAK == 3
  :: early == 0
  :: early != 0 ->
#else
  :: sleepers == 0
  :: sleepers != 0 ->
#endif
     atomic {
       asleep[0] = false;
#if WORKERS > 1
       asleep[1] = false;
#endif
#if WORKERS > 2
       asleep[2] = false;
#endif
       skip
     }
  fi
}

/* Atomics.waitAsync: compares with the count that was read, and waits only if it has not changed. */
inline listen() {
  atomic {
    if
    :: !ending -> main_waits = true
    :: ending
    fi
  }
}

/* No new wait begins while the promise of an earlier one is pending. */
inline read_endings() {
  atomic {
    if
    :: !main_waits -> ending = false
    :: main_waits
    fi
  }
}

/* Reads only the records, which do not change: no shared step. */
inline opened_tiles(before, complete, tiles) {
  tiles = 0;
  k = complete;
  do
  :: k < OPS && after[k] <= complete ->
     if
     :: after[k] > before || complete == 0 -> tiles = tiles + tile_count[k]
     :: else
     fi;
     k++
  :: else -> break
  od;
  k = 0
}

/* call_to_shift, then Atomics.notify. The coordinator calls one worker itself, and leaves the others to it; in the executor it
 * calls two. */
inline call_workers() {
  w = 0;
  do
  :: w < WORKERS ->
     atomic {
       if
       :: !on_shift[w] -> n++
       :: else
       fi;
       w++
     }
  :: else -> break
  od;
#if WEAK != 26
  atomic {
    calls_owed = (n > 0 -> n - 1 : 0);
    w = (n > 0 -> 0 : WORKERS)
  }
#else
  atomic { early = (n > 0 -> n - 1 : 0); w = (n > 0 -> 0 : WORKERS) }
#endif
  do
  :: w < WORKERS ->
     atomic {
       quiet = !on_shift[w];
       if
       :: quiet -> on_shift[w] = true
       :: else -> w++
       fi
     }
     if
     :: quiet -> atomic { away_asleep[w] = false; quiet = false; w = WORKERS }
     :: else
     fi
  :: else -> break
  od;
#if WEAK == 26
  atomic { calls_owed = early; early = 0 }
#endif
  atomic { w = 0; n = 0 }
}

proctype worker(byte w) {
  byte s, number, pre, complete, op, next, from, to, tiles, n, k, owes;
  bool worked, finished, last, busy;
#if WEAK != 0
  byte early, early_op;
  bool early_bit;
#endif

  /* The seat is on shift from the beginning. */
  goto again;

end_away:
  /* Atomics.wait compares and falls asleep under the lock that Atomics.notify takes. */
  atomic {
    if
#if !GATE
    :: deaths_left > 0 -> goto die
#endif
    :: on_shift[w] -> goto called
    :: !on_shift[w] -> away_asleep[w] = true
    fi
  }
end_asleep:
  atomic {
    if
    :: !away_asleep[w] -> goto end_away
#if !GATE
    :: deaths_left > 0 && away_asleep[w] -> goto die
#endif
    fi
  }

called:
  /* call_another(), once; in the executor twice. */
  atomic {
    if
    :: deaths_left > 0 -> goto die
    :: calls_owed == 0 -> goto again
    :: calls_owed != 0 -> calls_owed--
    fi
  }
search:
  atomic {
    if
    :: k == WORKERS -> k = 0; goto again
    :: else ->
       if
       :: on_shift[k] -> k++; goto search
       :: else -> on_shift[k] = true
       fi
    fi
  }
  /* Atomics.notify, unless the thread dies first. */
  atomic {
    if
    :: deaths_left > 0 -> k = 0; goto die
    :: away_asleep[k] = false; k = 0
    fi
  }
  goto again;

die:
  atomic { deaths_left--; away_asleep[w] = false; died[w] = true }
end_dead:
  atomic { replaced[w] -> replaced[w] = false }

again:
#if WEAK == 14
  /* The look for work, or its part that reads `live`, comes before the read of the bell. */
  early_bit = live != 0;
#endif
#if WEAK == 15
  early_bit = closing;
#endif
  atomic { rung[w] = false; worked = false }
  if
#if WEAK == 15
  :: early_bit -> on_shift[w] = false; goto end_away
#else
  :: closing -> on_shift[w] = false; goto end_away
#endif
  :: else
  fi;
#if WEAK == 14
  if
  :: !early_bit -> goto looked
  :: else
  fi;
#endif
  atomic {
    /* There is one program, so at most one bit. */
    if
    :: live == 0 -> goto looked
    :: else -> s = live >> 1; inside[w] = s + 1
    fi
  }
#if WEAK == 5
  early_bit = slot_program[s];
#endif
  visitors[s]++;
  finished = false;
  if
#if WEAK == 5
  :: !early_bit -> goto leave
#else
  :: !slot_program[s] -> goto leave
#endif
  :: else -> number = slot_run[s]
  fi;

tile:
#if WEAK == 19
  /* The inputs are read before the prefix. */
  atomic {
    early = 0; k = 0;
    do
    :: k < OPS && ran[k] == tile_count[k] -> early++; k++
    :: else -> break
    od;
    k = 0
  }
#endif
  atomic {
    op = 0; next = 0; pre = 0; complete = 0; from = 0; to = 0; tiles = 0;
    if
    :: cancelled[s] || closing -> goto leave
    :: else
    fi
  }
  atomic {
    assert(!freed);
    pre = prefix;
    if
    :: pre >= (number + 1) * OPS -> goto leave
    :: else -> complete = pre - number * OPS; op = complete
    fi
  }
scan:
  atomic {
    if
    :: op == OPS -> goto leave
    :: op < OPS && after[op] > complete -> goto leave
    :: else
    fi;
    assert(!freed);
    next = claimed[op];
    if
    :: next >= (number + 1) * tile_count[op] -> op++; goto scan
    :: else
    fi
  }
  atomic {
    assert(!freed);
    if
    :: claimed[op] != next -> goto scan
    :: else -> claimed[op] = claimed[op] + 1
    fi
  }
  atomic {
    /* The kernel begins. */
    worked = true;
    assert(!over && !freed);
    k = 0;
    do
#if WEAK == 19
    :: k < after[op] -> assert(k < early); k++
#else
    :: k < after[op] -> assert(ran[k] == tile_count[k]); k++
#endif
    :: else -> break
    od;
    k = 0;
    running_tiles++
  }
#if GATE
  running_tiles == WORKERS;
#endif
#if WEAK == 18
  /* The count is seen before the outputs. */
  done[op]++;
#endif
#if WEAK == 9
  /* The prefix, and the first count that advance() looks at, are read before this one is incremented. */
  atomic {
    early_op = prefix - number * OPS;
    early = 0;
    if
    :: early_op < OPS && early_op != op -> early = 1 + done[early_op]
    :: else
    fi
  }
#endif
  atomic {
    /* The kernel ends. */
    assert(!over && !freed);
#if GATE
    ran[op]++
#else
    if
    :: ran[op]++; running_tiles--
    :: failures_left > 0 -> failures_left--; running_tiles--; goto fail
    :: deaths_left > 0 ->
       /* Resets the locals for the thread that replaces this one. */
       op = 0; next = 0; pre = 0; complete = 0; number = 0; s = 0; worked = false;
       running_tiles--;
       goto die
    fi
#endif
  }
  atomic {
#if WEAK != 18
    done[op]++;
#endif
    if
    :: done[op] != (number + 1) * tile_count[op] -> goto tile
    :: else
    fi
  }
  /* advance() */
#if WEAK == 9
  if
  :: early != 0 -> pre = number * OPS + early_op
  :: else -> pre = prefix
  fi;
  atomic { from = pre; to = pre }
#else
  atomic { pre = prefix; from = pre; to = pre }
#endif
advance:
  if
  :: pre >= (number + 1) * OPS -> goto advanced
  :: else
  fi;
#if WEAK == 9
  if
  :: early != 0 && early_op == pre - number * OPS && early - 1 < (number + 1) * tile_count[early_op] -> goto advanced
  :: else -> early = 0
  fi;
#endif
  if
  :: done[pre - number * OPS] < (number + 1) * tile_count[pre - number * OPS] -> goto advanced
  :: else
  fi;
  atomic {
    assert(!freed);
    if
    :: prefix != pre -> pre = prefix
    :: else ->
       if
       :: to == from -> from = pre
       :: else
       fi;
       prefix++;
       pre++;
       to = pre
    fi
  }
  goto advance;
advanced:
  if
  :: to == from -> goto tile
  :: to == (number + 1) * OPS -> live = live & ~BIT(s); finished = true; goto leave
  :: else
  fi;
  atomic { opened_tiles((from - number * OPS), (to - number * OPS), tiles) }
  if
  :: tiles > 1 -> ring(tiles - 1, owes)
  :: else
  fi;
  goto tile;

fail:
  cancelled[s] = true;
  live = live & ~BIT(s);

leave:
#if WEAK == 7
  early_bit = cancelled[s];
  early = slot_program[s];
#endif
#if WEAK == 16
  if
  :: finished -> ending = true
  :: else
  fi;
#endif
  atomic {
    op = 0; next = 0; pre = 0; complete = 0; from = 0; to = 0; tiles = 0; number = 0;
    visitors[s]--;
    last = visitors[s] == 0
  }
#if WEAK == 22
  /* The visitor's last read of the program's memory comes after this. */
  if
  :: worked -> assert(!freed)
  :: else
  fi;
#endif
  inside[w] = 0;
#if WEAK == 7
  if
  :: finished || (last && early_bit) -> goto report
  :: else
  fi;
  if
  :: last && early == 0 -> goto report
  :: else
  fi;
#elif WEAK == 25
  if
  :: finished || (last && cancelled[s]) -> goto report
  :: else
  fi;
#else
  if
  :: finished || (last && cancelled[s]) -> goto report
  :: else
  fi;
  if
  :: last && !slot_program[s] -> goto report
  :: else
  fi;
#endif

looked:
  atomic { s = 0; last = false; finished = false }
  if
  :: worked -> goto again
  :: else
  fi;
  busy = live != 0;
  if
  :: !busy ->
     /* The linger time may end at any moment. */
#if WEAK == 1
     early_bit = live == 0;
#endif
     on_shift[w] = false;
     if
#if WEAK == 1
     :: early_bit -> goto end_away
#else
     :: live == 0 -> goto end_away
#endif
     :: else ->
        atomic {
          if
          :: !on_shift[w] -> on_shift[w] = true; goto again
          :: else
          fi
        }
#if WEAK != 29
        calls_owed++;
#endif
        goto end_away
     fi
  :: true
  fi;
#if WEAK == 4
  atomic { asleep[w] = !rung[w] }
  sleepers++;
#else
  sleepers++;
  atomic { asleep[w] = !rung[w] }
#endif
#if GATE
end_sleeping:
#endif
  if
  :: !asleep[w]
  :: asleep[w] && !busy && !closing -> asleep[w] = false
  fi;
  atomic { sleepers--; busy = false }
  pass_on(owes);
  goto again;

report:
#if WEAK == 16
  atomic {
    if
    :: finished
    :: else -> ending = true
    fi;
    s = 0; last = false; finished = false
  }
#else
  atomic { ending = true; s = 0; last = false; finished = false }
#endif
  /* Back in JavaScript: Atomics.notify, unless the thread dies first. */
  if
#if !GATE
  :: deaths_left > 0 -> goto die
#endif
  :: main_waits = false
  fi;
  goto again
}

init {
  byte number, s, w, n, k, tiles, owes;
  bool quiet, will_cancel, will_close;
#if WEAK != 0
  byte early;
  bool early_bit, has_early;
#endif

  atomic {
#if GATE
    tile_count[0] = WORKERS; after[0] = 0;
#else
    tile_count[0] = 1; after[0] = 0;
    tile_count[1] = 1; after[1] = 0;
    tile_count[2] = 2; after[2] = 2;
#endif
    do
    :: w < WORKERS -> on_shift[w] = true; run worker(w); w++
    :: else -> break
    od;
    w = 0
  }

publish:
  atomic {
    if
    :: !slot_program[0] && visitors[0] == 0 -> s = 0
    :: !slot_program[1] && visitors[1] == 0 -> s = 1
    fi;
    freed = false;
    over = false;
    RESET;
    will_cancel = false;
    will_close = false;
    if
    :: true
#if CANCELS
    :: will_cancel = true
    :: number == RUNS - 1 -> will_cancel = true; will_close = true
#endif
    fi;
#if WEAK != 13
    slot_run[s] = number;
    cancelled[s] = false
#endif
  }
#if WEAK == 2
  call_workers();
#endif
#if WEAK == 11
  live = live | BIT(s);
  slot_program[s] = true;
#else
  slot_program[s] = true;
#if WEAK == 12
  early_bit = cancelled[s] || prefix >= (number + 1) * OPS;
#endif
  live = live | BIT(s);
#endif
#if WEAK == 13
  slot_run[s] = number;
  cancelled[s] = false;
#endif
#if WEAK == 12
  if
  :: early_bit -> live = live & ~BIT(s)
  :: else -> atomic { opened_tiles(0, 0, tiles) }; ring(tiles, owes)
  fi;
#else
  if
  :: cancelled[s] -> live = live & ~BIT(s)
  :: else ->
     if
     :: prefix >= (number + 1) * OPS -> live = live & ~BIT(s)
     :: else ->
        atomic { opened_tiles(0, 0, tiles) }
        ring(tiles, owes)
     fi
  fi;
#endif
#if WEAK != 2
  call_workers();
#endif

wait:
#if WEAK == 17
  early_bit = prefix >= (number + 1) * OPS;
#endif
  read_endings();
  quiet = cancelled[s];
  if
#if WEAK == 8
  :: quiet && has_early -> quiet = early_bit; has_early = false
  :: quiet && !has_early -> quiet = visitors[s] == 0
#else
  :: quiet -> quiet = visitors[s] == 0
#endif
  :: else
  fi;
  if
#if WEAK == 17
  :: early_bit -> goto ended
#else
  :: prefix >= (number + 1) * OPS -> goto ended
#endif
  :: else
  fi;
  if
  :: quiet -> goto ended
  :: else
  fi;
  if
  :: !main_waits -> listen()
  :: else
  fi;
  if
  :: will_cancel ->
     if
#if WEAK == 6
     :: will_close -> ring_for_all(); closing = true
#else
     :: will_close -> closing = true; ring_for_all()
#endif
     :: else
     fi;
#if WEAK == 8
     atomic { early_bit = visitors[s] == 0; has_early = true }
#endif
#if WEAK == 23
     cancelled[s] = true;
     live = live & ~BIT(s);
#else
     live = live & ~BIT(s);
     cancelled[s] = true;
#endif
     will_cancel = false;
     goto wait
  :: !main_waits -> goto wait
#if DEATHS > 0
  :: died[0] -> w = 0; goto bury
#if WORKERS > 1
  :: died[1] -> w = 1; goto bury
#endif
#if WORKERS > 2
  :: died[2] -> w = 2; goto bury
#endif
#endif
  fi;

#if DEATHS > 0
bury:
  died[w] = false;
  if
  :: inside[w] != 0 ->
     live = live & ~BIT(inside[w] - 1);
     cancelled[inside[w] - 1] = true;
     visitors[inside[w] - 1]--;
     inside[w] = 0
  :: else
  fi;
  on_shift[w] = false;
  ring_for_all();
  atomic {
    if
    :: !closing -> on_shift[w] = true; replaced[w] = true
    :: else
    fi;
    w = 0
  }
#if WEAK != 27
  /* The dead worker may have called one that it did not notify. */
  do
  :: w < WORKERS ->
     atomic {
       if
       :: on_shift[w] -> away_asleep[w] = false
       :: else
       fi;
       w++
     }
  :: else -> break
  od;
  w = 0;
#endif
  if
  :: over || closing
  :: else ->
#if WEAK != 28
     call_workers()
#else
     skip
#endif
  fi;
  if
  :: over -> goto free
  :: else -> goto wait
  fi;
#endif

ended:
  atomic {
#if !GATE
    assert(running_tiles == 0);
#endif
    over = true;
    if
    :: prefix >= (number + 1) * OPS -> assert(COMPLETE); quiet = false
    :: else -> assert(quiet && INCOMPLETE)
    fi
  }
#if GATE
  goto finished;
#endif
  live = live & ~BIT(s);
#if WEAK == 20
  early_bit = visitors[0] + visitors[1] == 0;
  has_early = true;
#endif
  slot_program[s] = false;
  number++;
  if
  :: quiet ->
#if WEAK == 21
     prefix = number * OPS;
#endif
     atomic {
       k = 0;
       do
       :: k < OPS -> claimed[k] = number * tile_count[k]; done[k] = number * tile_count[k]; k++
       :: else -> break
       od;
       k = 0;
#if WEAK != 21
       prefix = number * OPS
#endif
     }
  :: else
  fi;
  quiet = false;
  /* Either the program runs again at once, in any free slot, or its memory is freed first, which waits for late visitors
   * by means of the endings. */
  if
  :: number < RUNS
  :: true ->
free:
     read_endings();
     if
#if WEAK == 20
     :: has_early && early_bit -> atomic { has_early = false; freed = true }
     :: !(has_early && early_bit) && visitors[0] + visitors[1] == 0 -> has_early = false; freed = true
#else
     :: visitors[0] + visitors[1] == 0 -> freed = true
#endif
     :: else ->
        if
        :: !main_waits -> listen()
        :: else
        fi;
        if
        :: !main_waits -> goto free
#if DEATHS > 0
        :: died[0] -> w = 0; goto bury
#if WORKERS > 1
        :: died[1] -> w = 1; goto bury
#endif
#if WORKERS > 2
        :: died[2] -> w = 2; goto bury
#endif
#endif
        fi
     fi
  fi;
  if
  :: number < RUNS -> goto publish
  :: else
  fi;
#if WEAK == 6
  ring_for_all();
  closing = true;
#else
  closing = true;
  ring_for_all();
#endif
  w = 0;
  do
  :: w < WORKERS -> !on_shift[w] || died[w] || away_asleep[w]; w++
  :: else -> break
  od
#if GATE
  ;
finished:
  skip
#endif
}
