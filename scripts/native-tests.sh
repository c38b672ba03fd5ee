#!/usr/bin/env bash
# Builds the plain C++ test binary and runs it, once for each variant named. Called by `pnpm test:native` and
# `pnpm test:sanitize`; not by vitest. The variants: `release`, every test, as optimised as the addon; `address`, every
# test under AddressSanitizer and UndefinedBehaviorSanitizer; `thread`, the suite "executor" under ThreadSanitizer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "native tests: $1" >&2
  exit "${2:-1}"
}

# Fails if a function is defined by two instruction sets, or by a set and the plain code. Of an inline function that
# several objects define, the linker keeps one copy. If it keeps one compiled for an instruction set, CPUs without the
# set crash.
check_sets_apart() {
  local folder=$1/CMakeFiles/tesserae_kernels.dir
  local repeated
  repeated=$(for set in plain avx2 avx_vnni avx512; do
    local selection=(-path "*/kernels/$set/*")
    if [ "$set" = plain ]; then selection=(-not -path '*/kernels/avx*'); fi
    find "$folder" -name '*.o' "${selection[@]}" -exec nm --defined-only {} + | awk '$2 == "W" { print $3 }' | sort -u
  done | sort | uniq -d | c++filt)
  [ -z "$repeated" ] || fail "these functions are compiled for several instruction sets: $repeated"
}

run_variant() {
  local variant=$1 folder=build-native-$1
  local flags=(-DTESSERAE_NATIVE_TESTS=ON) selection=() launcher=()
  # Slightly optimised, with assertions: a plain debug build is too slow to run every shape.
  local sanitized=(-DCMAKE_BUILD_TYPE=Debug '-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g')
  case "$variant" in
    release) flags+=(-DCMAKE_BUILD_TYPE=Release) ;;
    address) flags+=("${sanitized[@]}" -DTESSERAE_SANITIZE=address,undefined) ;;
    thread)
      flags+=("${sanitized[@]}" -DTESSERAE_SANITIZE=thread)
      selection=(--test-suite=executor)
      # ThreadSanitizer needs fixed addresses, which address randomisation may already have used.
      if setarch -R true 2>/dev/null; then launcher=(setarch -R); fi
      ;;
  esac
  if [ ! -f "$folder/CMakeCache.txt" ] && command -v ninja >/dev/null; then flags+=(-G Ninja); fi

  echo "native tests: $variant"
  cmake -S native -B "$folder" "${flags[@]}" >"$folder.log" 2>&1 || { cat "$folder.log"; fail 'CMake failed'; }
  cmake --build "$folder" --target tesserae_native_tests --parallel "$(nproc)"
  if [ "$variant" = release ]; then check_sets_apart "$folder"; fi
  UBSAN_OPTIONS=print_stacktrace=1 "${launcher[@]}" "$folder/tesserae_native_tests" "${selection[@]}" | tee "$folder.log"
  # doctest also succeeds when its selection matches no test.
  grep -qE 'test cases: +[1-9]' "$folder.log" || fail "no test ran in the variant $variant"
}

[ $# -gt 0 ] || fail 'name one or more of: release, address, thread' 2
for variant in "$@"; do
  case "$variant" in
    release | address | thread) ;;
    *) fail "expected release, address or thread, got '$variant'" 2 ;;
  esac
done

command -v cmake >/dev/null || fail 'CMake is missing. On Debian: apt-get install cmake g++ ninja-build doctest-dev'
command -v "${CXX:-c++}" >/dev/null || fail 'a C++17 compiler is missing. On Debian: apt-get install g++ doctest-dev'
if ! echo '#include <doctest/doctest.h>' | "${CXX:-c++}" -std=c++17 -x c++ -fsyntax-only - 2>/dev/null; then
  fail 'the test framework doctest is missing. On Debian: apt-get install doctest-dev'
fi

failed=()
for variant in "$@"; do
  # In a shell of its own, with `set -e` in force, so that a failure does not keep the next variant from running.
  status=0
  bash -c "$(declare -f fail check_sets_apart run_variant); set -euo pipefail; run_variant $variant" || status=$?
  [ "$status" -eq 0 ] || failed+=("$variant")
done
[ ${#failed[@]} -eq 0 ] || fail "failed: ${failed[*]}"
