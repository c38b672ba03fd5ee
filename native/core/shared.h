// The type of the words that the threads of a team share, and the hook by which a test counts accesses and system calls.
// Shared<T> is std::atomic<T>. Only the objects that executor_counts_test.cpp is linked with define TESSERAE_COUNTING, a
// header that replaces both: see native/CMakeLists.txt.
#pragma once

#include <atomic>

#ifdef TESSERAE_COUNTING
#include TESSERAE_COUNTING
#else

namespace tesserae {

template <typename T>
using Shared = std::atomic<T>;

// What a test counts besides read-modify-writes of shared words.
#define TESSERAE_COUNT(what, amount) static_cast<void>(0)

}  // namespace tesserae

#endif
