#!/usr/bin/env bash
# Builds the plain C++ test binary and runs it, once for each variant named. Called by `pnpm test:native`,
# `pnpm test:sanitize` and .ci/run; not by vitest. Usage: native-tests.sh [--build-only] VARIANT…

# The variants:
#   release  every test, linked with the objects of the addon
#   address  every test under AddressSanitizer and UndefinedBehaviorSanitizer, with assertions
#   thread   the suite "executor" under ThreadSanitizer, with assertions and the reference kernels, which it runs
#   arm64    cross compiled and run under qemu, linked with the objects of the addon for arm64: the tests of ARM64_TESTS
#   arm64-all  the same with every test but the suite "executor"; takes long, so only by hand and at night
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Of arm64, whose emulator takes 10 to 40 times as long: the digests that all sets share, and those tests which find where the
# sets differ, instructions and the ends of operands. The values are tested on this machine: arm64-all finds the same bits.
ARM64_TESTS='golden*,kernel sets*,portable*,random ops*,quantiz*,copy*,exponential*'

fail() {
  echo "native tests: $1" >&2
  exit "${2:-1}"
}

# Prints the folder of a variant's binary and of its log files.
folder_of() {
  case "$1" in
    release) echo build/native ;;
    arm64*) echo build-arm64/native ;;
    *) echo "build-native-$1" ;;
  esac
}

# Fails if a function is defined by two instruction sets, or by a set and the plain code. Of an inline function that
# several objects define, the linker keeps one copy. If it keeps one compiled for an instruction set, CPUs without the
# set crash.
check_sets_apart() {
  local folder=$1/CMakeFiles
  local repeated
  # The portable set is compiled like the plain code.
  repeated=$(for set in plain avx2 avx_vnni avx512 avx512_vnni; do
    local objects=("$folder/tesserae_$set.dir")
    if [ "$set" = plain ]; then objects=("$folder/tesserae_kernels.dir" "$folder/tesserae_portable.dir"); fi
    find "${objects[@]}" -name '*.o' -exec nm --defined-only {} + | awk '$2 == "W" { print $3 }' | sort -u
  done | sort | uniq -d | c++filt)
  [ -z "$repeated" ] || fail "these functions are compiled for several instruction sets: $repeated"
}

# Fails if the objects of avx512_floats, which CPUs without VNNI run, have its instructions.
check_floats_without_vnni() {
  local found
  found=$(find "$1/CMakeFiles/tesserae_avx512.dir/kernels/simd" -name '*.o' -exec objdump -d --no-show-raw-insn {} + | grep -cE '\bvpdp(busd|wssd)' || true)
  [ "$found" = 0 ] || fail "kernels for CPUs without VNNI have $found of its instructions"
}

build_variant() {
  local variant=$1 folder
  folder=$(folder_of "$variant")
  local flags=(-S native -B "$folder") target=$folder
  case "$variant" in
    release)
      # The addon's build folder, so that the kernels are compiled once.
      node scripts/build.mjs native
      flags=(-S . -B build) target=build
      ;;
    address) flags+=(-DTESSERAE_SANITIZE=address,undefined) ;;
    thread)
      local sources
      sources=$(cd native && grep -l '"executor"' test/*.cpp | paste -sd ';')
      flags+=(-DTESSERAE_SANITIZE=thread -DTESSERAE_VECTOR_KERNELS=OFF "-DTESSERAE_TEST_SOURCES=test/main.cpp;$sources")
      ;;
    arm64*)
      # The build folder of the addon for arm64.
      command -v aarch64-linux-gnu-g++ >/dev/null || fail 'the compiler for arm64 is missing: apt-get install g++-aarch64-linux-gnu'
      node scripts/build.mjs arm64
      # The folder of this machine's own headers must not be searched, so doctest gets one of its own.
      mkdir -p build-arm64/include
      cp -rp /usr/include/doctest build-arm64/include/
      flags=(-S . -B build-arm64 "-DTESSERAE_DOCTEST_INCLUDE=$PWD/build-arm64/include") target=build-arm64
      ;;
  esac
  if [ ! -f "$target/CMakeCache.txt" ] && command -v ninja >/dev/null; then flags+=(-G Ninja); fi
  echo "native tests: building $variant"
  cmake "${flags[@]}" >"$folder.log" 2>&1 || { cat "$folder.log"; fail 'CMake failed'; }
  cmake --build "$target" --target tesserae_native_tests --parallel "$(nproc)"
  if [ "$variant" = release ]; then
    check_sets_apart "$folder"
    check_floats_without_vnni "$folder"
  fi
}

# count_tests FILTER: prints how many test cases pass a filter of doctest.
count_tests() {
  "${command[@]}" "$1" --count --no-colors | sed -nE 's/.*current filters: *([0-9]+)$/\1/p'
}

# run_test LOG FILTER NUMBER: runs one test case, the NUMBERth that passes the filter, in a process of its own. Its log
# ends with 'passed' or 'FAILED'. doctest reports success, too, when it ran nothing: only a test that ran has a duration.
run_test() {
  local log=$1 status=0
  timeout --foreground -k 5 "$test_limit_s" "${command[@]}" "$2" --first="$3" --last="$3" \
    --duration --no-intro --no-version --no-colors >"$log" 2>&1 || status=$?
  if [ "$status" -eq 124 ]; then echo "timed out after $test_limit_s s" >>"$log"; fi
  if [ "$status" -eq 0 ] && grep -qE '^[0-9.]+ s: ' "$log"; then echo passed >>"$log"; else echo "FAILED with status $status" >>"$log"; fi
}

# Prints the logs of tests that failed, the slowest tests, and a summary in doctest's words.
summarise() {
  local logs=$1 passed failed log
  passed=$(tail -qn 1 "$logs"/*.log | grep -c '^passed$' || true)
  failed=$(tail -qn 1 "$logs"/*.log | grep -c '^FAILED' || true)
  for log in "$logs"/*.log; do
    if [ "$(tail -n 1 "$log")" != passed ]; then cat "$log"; fi
  done
  sed -n 's/.*MESSAGE: \(kernel sets:.*\)/\1/p' "$logs"/*.log
  # Not by `head`, which ends the pipe before `sort` has written all.
  echo 'slowest:'
  grep -hE '^[0-9.]+ s: ' "$logs"/*.log | sort -rn | sed -n 1,5p
  echo "test cases: $((passed + failed)) | $passed passed | $failed failed"
  # An empty selection must not look like a success.
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

run_variant() {
  local variant=$1 folder logs number count
  local executor=--test-suite=executor others=--test-suite-exclude=executor
  folder=$(folder_of "$variant")
  logs=$folder/test-logs
  test_limit_s=900
  command=("$folder/tesserae_native_tests")
  # ThreadSanitizer maps its shadow memory at fixed addresses, which address space randomisation may already have taken.
  case "$variant" in
    arm64*)
      command=(qemu-aarch64-static -L /usr/aarch64-linux-gnu "${command[@]}")
      export TESSERAE_REQUIRE_ISAS=portable,neon,neon_dot,neon_i8mm TESSERAE_FLOAT_STEP=100003
      # The emulator has other timing, and no CPU affinity.
      executor=''
      ;;
  esac
  if [ "$variant" = arm64 ]; then
    others=--test-case=$ARM64_TESTS
    export TESSERAE_RANDOM_SHAPES=15
  fi
  if [ "$variant" = thread ] && setarch -R true 2>/dev/null; then command=(setarch -R "${command[@]}"); fi
  export UBSAN_OPTIONS=print_stacktrace=1

  echo "native tests: running $variant"
  rm -rf "$logs"
  mkdir "$logs"
  # The executor's tests use several threads and assert a time, so they run alone. The others run one on each CPU.
  count=0
  if [ -n "$executor" ]; then count=$(count_tests "$executor"); fi
  for ((number = 1; number <= count; number++)); do run_test "$logs/executor-$number.log" "$executor" "$number"; done
  count=$(count_tests "$others")
  for ((number = 1; number <= count; number++)); do
    if [ "$(jobs -pr | wc -l)" -ge "$(nproc)" ]; then wait -n; fi
    run_test "$logs/$number.log" "$others" "$number" &
  done
  wait
  summarise "$logs"
}

build_only=false
if [ "${1:-}" = --build-only ]; then
  build_only=true
  shift
fi
[ $# -gt 0 ] || fail 'name one or more of: release, address, thread, arm64, arm64-all' 2
for variant in "$@"; do
  case "$variant" in
    release | address | thread | arm64 | arm64-all) ;;
    *) fail "expected release, address, thread, arm64 or arm64-all, got '$variant'" 2 ;;
  esac
done

command -v cmake >/dev/null || fail 'CMake is missing. On Debian: apt-get install cmake g++ ninja-build doctest-dev'
command -v "${CXX:-c++}" >/dev/null || fail 'a C++17 compiler is missing. On Debian: apt-get install g++ doctest-dev'
if ! echo '#include <doctest/doctest.h>' | "${CXX:-c++}" -std=c++17 -x c++ -fsyntax-only - 2>/dev/null; then
  fail 'the test framework doctest is missing. On Debian: apt-get install doctest-dev'
fi

# A variant that fails does not keep the next from running. A subshell that is part of a condition would ignore `set -e`.
failed=()
for variant in "$@"; do
  set +e
  (
    set -e
    build_variant "$variant"
    if [ "$build_only" = false ]; then run_variant "$variant"; fi
  )
  status=$?
  set -e
  [ "$status" -eq 0 ] || failed+=("$variant")
done
[ ${#failed[@]} -eq 0 ] || fail "failed: ${failed[*]}"
