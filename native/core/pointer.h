// A pointer as a field of structures that TypeScript writes: 8 bytes, whatever the size of an address is. A plain pointer
// on CPUs of 64 bits; in WebAssembly, whose addresses have 32 bits, a pointer followed by 4 bytes, which only Address reads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tesserae {

#if UINTPTR_MAX == UINT64_MAX

template <typename T>
using Pointer = T*;

#else

template <typename T>
class alignas(8) Pointer {
 public:
  Pointer() = default;
  Pointer(T* pointer) : pointer_(pointer) {}
  template <typename Other>
  Pointer(const Pointer<Other>& other) : pointer_(other), high_(static_cast<uint32_t>(other.field() >> 32)) {}
  operator T*() const { return pointer_; }
  // To another type, as static_cast does it for plain pointers.
  template <typename Other>
  explicit operator Other*() const {
    return static_cast<Other*>(pointer_);
  }
  uint64_t field() const { return uint64_t{high_} << 32 | reinterpret_cast<uintptr_t>(pointer_); }
  T* operator->() const { return pointer_; }
  Pointer& operator+=(ptrdiff_t count) {
    pointer_ += count;
    return *this;
  }

 private:
  T* pointer_;
  uint32_t high_ = 0;
};

#endif

// What the field of a pointer contains: for checks, which must not miss the bits that a pointer does not have.
struct Address {
  uint64_t value;

  template <typename T>
  Address(T* pointer) : value(reinterpret_cast<uintptr_t>(pointer)) {}
#if UINTPTR_MAX != UINT64_MAX
  template <typename T>
  Address(const Pointer<T>& pointer) : value(pointer.field()) {}
#endif
};

static_assert(sizeof(Pointer<const void>) == 8, "fields of op records are 8-byte words");

}  // namespace tesserae
