#!/usr/bin/env bash
# Builds the plain C++ test binary and runs it. Called by `pnpm test:native` and `pnpm test:sanitize`; not by vitest.
#   native-tests.sh release   every test, as optimised as the addon
#   native-tests.sh address   every test under AddressSanitizer and UndefinedBehaviorSanitizer
#   native-tests.sh thread    the test suite "executor" under ThreadSanitizer
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "native tests: $1" >&2
  exit "${2:-1}"
}

variant=${1:-}
flags=(-DTESSERAE_NATIVE_TESTS=ON)
# Optimised a little and with assertions: a plain debug build is too slow to run every shape.
sanitized=(-DCMAKE_BUILD_TYPE=Debug "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g")
selection=()
case "$variant" in
  release) flags+=(-DCMAKE_BUILD_TYPE=Release) ;;
  address) flags+=("${sanitized[@]}" -DTESSERAE_SANITIZE=address,undefined) ;;
  thread)
    flags+=("${sanitized[@]}" -DTESSERAE_SANITIZE=thread)
    selection=(--test-suite=executor)
    ;;
  *) fail "expected release, address or thread, got '$variant'" 2 ;;
esac

command -v cmake >/dev/null || fail 'CMake is missing. On Debian: apt-get install cmake g++ ninja-build doctest-dev'
if ! echo '#include <doctest/doctest.h>' | "${CXX:-c++}" -std=c++17 -x c++ -fsyntax-only - 2>/dev/null; then
  fail "no compiler that finds <doctest/doctest.h>. On Debian: apt-get install g++ doctest-dev"
fi
if command -v ninja >/dev/null; then flags+=(-G Ninja); fi

folder=build-native-$variant
configured=$(cmake -S native -B "$folder" "${flags[@]}" 2>&1) || { echo "$configured"; fail "CMake could not configure $folder"; }
cmake --build "$folder" --parallel "$(nproc)"

# ThreadSanitizer maps its shadow at fixed addresses, which strong address randomisation may already have taken.
launcher=()
if [ "$variant" = thread ] && setarch -R true 2>/dev/null; then launcher=(setarch -R); fi

log=$folder/tests.log
ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=second_deadlock_stack=1 \
  "${launcher[@]}" "$folder/tesserae_native_tests" "${selection[@]}" | tee "$log"

# A selection that matches nothing is a success for doctest.
grep -qE 'test cases: +[1-9]' "$log" || fail "no test ran in the variant '$variant'"
