#!/usr/bin/env bash
# Checks the executor's model (executor.pml) with spin: without an error as it is, and with each pair of accesses that a memory
# order keeps in order exchanged in turn, which must give an error where the order matters. Called by .ci/run. Needs spin.
set -euo pipefail
model=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/native/test/model/executor.pml
command -v spin >/dev/null || { echo 'spin is missing. On Debian: apt-get install spin' >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

one='-DWORKERS=1 -DRUNS=2'
two='-DWORKERS=2 -DRUNS=1 -DCANCELS=0'
gate='-DWORKERS=2 -DRUNS=1 -DCANCELS=0 -DGATE=1'

# search NUMBER SIZE: prints 'error' or 'none', and the number of states. Fails if the search was not complete.
search() {
  local folder=$work/$1-${2//[^A-Z0-9]/} output
  mkdir "$folder"
  cd "$folder"
  # shellcheck disable=SC2086
  spin -a "-DWEAK=$1" $2 "$model" >spin.log || { cat spin.log >&2; return 1; }
  gcc -O1 -DSAFETY -DCOLLAPSE -o pan pan.c
  output=$(./pan -m1000000 -w24)
  if ! grep -q 'errors:' <<<"$output" || grep -q 'max search depth too small' <<<"$output"; then
    echo "$output" >&2
    return 1
  fi
  if grep -q 'errors: 0' <<<"$output"; then echo -n none; else echo -n error; fi
  awk '/states, stored/ { print " " $1 }' <<<"$output"
}

failed=0
# expect OUTCOME NUMBER SIZE WHAT
expect() {
  local found
  found=$(search "$2" "$3")
  if [ "${found% *}" != "$1" ]; then
    failed=$((failed + 1))
    echo "FAILED: expected $1, found ${found% *}:"
  fi
  printf '%-5s after %7d states: %s\n' "${found% *}" "${found#* }" "$4"
}

expect none 0 "$one" 'the model as it is'
expect none 0 "$one -DFAILURES=1" 'the same, and a tile fails'
expect none 0 '-DWORKERS=1 -DRUNS=1 -DDEATHS=1' 'the same, and a worker dies'
expect none 0 "$gate" 'a program that needs every worker'
expect none 0 "$gate -DDEATHS=1" 'the same, and a worker dies that is called or calls another'

expect error 1 "$one" 'leaving a shift: `live` is read before the seat is stored as away'
expect error 2 "$one" 'publish: the seats are read before `live` is set'
expect error 3 "$one" 'ring: `sleepers` is read before the bell'
expect error 4 "$one" 'sleep: the bell is compared before `sleepers` is incremented'
expect error 5 "$one" 'visit: `program` is read before `visitors` is incremented'
expect error 6 "$one" 'closing: the bell before `closing`'
expect error 7 "$one" 'leaving a program: `cancelled` and `program` are read before `visitors` is decremented'
expect error 8 "$one" 'cancel: `visitors` is read before `cancelled` is stored'
expect error 9 "$two" 'a complete op: the prefix and the next count are read before the own count is incremented'
expect error 14 "$one" 'looking for work: `live` is read before the bell'
expect error 15 "$one" 'looking for work: `closing` is read before the bell'
expect error 16 "$one" 'the end: `endings` before `visitors` is decremented'
expect error 17 "$one" 'run_state: the prefix is read before `visitors`'
expect error 18 "$two" 'a tile: its count before its outputs'
expect error 19 "$two" 'a tile: its inputs are read before the prefix'
expect error 20 "$one" 'retire: `visitors` is read before `program` is stored'
expect error 22 "$one" 'leaving a program: its memory is read after `visitors` is decremented'
expect error 25 "$one" 'leaving a program: the last visitor does not look at `program`'
expect error 26 "$gate" 'calling to a shift: the first worker is called before `calls_owed` is stored'
expect error 27 "$gate -DDEATHS=1" 'a loss: workers on shift are not notified'
expect error 28 "$gate -DDEATHS=1" 'a loss: workers are not called again'
expect error 29 "$gate" 'leaving a shift: a worker that was called while it came back by itself does not pass the call on'

# In this model, which has one program, these orders save only looks that find nothing.
expect none 11 "$one" 'publish: the bit in `live` before `program`'
expect none 12 "$one" 'publish: looks whether the run has ended before the bit is set'
expect none 13 "$one" 'publish: `run` and `cancelled` after `program`'
expect none 21 "$one" 'retire: the prefix before the counters of a drained program'
expect none 23 "$one" 'cancel: `cancelled` before the bit in `live` is cleared'

[ "$failed" -eq 0 ] || exit 1
