// What the addon needs of the C++ runtime beyond GCC's language support (libsupc++), written here because the originals need
// more of the C library than every supported system has. Linked into the addon on Linux only, see linux_abi.cmake.
#include <dlfcn.h>
#include <link.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <string>

// Whether the process has one thread, in which case libstdc++ counts references without atomics. It always has more.
extern "C" {
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
}

#ifdef DLFO_STRUCT_HAS_EH_DBASE
namespace {

struct Search {
  uintptr_t address;
  dl_find_object* result;
};

// For dl_iterate_phdr: 1 when the object contains the address and has tables for unwinding.
int find_in_object(dl_phdr_info* info, size_t, void* data) {
  auto* search = static_cast<Search*>(data);
  bool contains = false;
  const ElfW(Phdr)* tables = nullptr;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    const uintptr_t start = info->dlpi_addr + header.p_vaddr;
    if (header.p_type == PT_LOAD && search->address - start < header.p_memsz) {
      contains = true;
      search->result->dlfo_map_start = reinterpret_cast<void*>(start);
      search->result->dlfo_map_end = reinterpret_cast<void*>(start + header.p_memsz);
    }
    if (header.p_type == PT_GNU_EH_FRAME) tables = &header;
  }
  if (!contains || tables == nullptr) return 0;
  search->result->dlfo_eh_frame = reinterpret_cast<void*>(info->dlpi_addr + tables->p_vaddr);
  return 1;
}

}  // namespace

// Finds the unwinding tables of a function's object. GCC's unwinder calls it; glibc has it since 2.35, musl does not.
extern "C" int _dl_find_object(void* address, dl_find_object* result) noexcept {
  *result = {};
  Search search{reinterpret_cast<uintptr_t>(address), result};
  return dl_iterate_phdr(find_in_object, &search) == 1 ? 0 : -1;
}
#endif

namespace __gnu_cxx {

// Ends the process at an exception that nothing catches. The original prints its type, for which it needs stdio.
void __verbose_terminate_handler() { std::abort(); }

}  // namespace __gnu_cxx

namespace std {

// The copy in libstdc++.a comes with iostreams, locales, and with them much of glibc.
template class basic_string<char>;

// Called by std::string for arguments that are out of range, which only a mistake in the binding can pass.
void __throw_length_error(const char*) { std::terminate(); }
void __throw_logic_error(const char*) { std::terminate(); }
void __throw_out_of_range_fmt(const char*, ...) { std::terminate(); }

chrono::steady_clock::time_point chrono::steady_clock::now() noexcept {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time_point(duration(chrono::seconds(time.tv_sec) + chrono::nanoseconds(time.tv_nsec)));
}

}  // namespace std
