// Read-only mappings of files (see mapped_file.h). A mapping is unmapped when JavaScript has unmapped it or its handle
// was garbage-collected, and no libuv thread works on it any more. No global state.
#include "binding/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>

namespace {

constexpr size_t kPageBytes = 4096;
// MADV_POPULATE_READ (Linux 5.14), which older headers lack.
constexpr int kPopulateRead = 22;
constexpr size_t kStepBytes = size_t{1} << 20;
// Number.MAX_SAFE_INTEGER.
constexpr double kMostBytes = 9007199254740991.0;

struct Mapping {
  unsigned char* begin = nullptr;
  size_t bytes = 0;

  Mapping(unsigned char* first, size_t size) : begin(first), bytes(size) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { munmap(begin, bytes); }
};

// The object behind JavaScript's handle. `mapping` is empty after unmapFile.
struct Handle {
  std::shared_ptr<Mapping> mapping;
};

Napi::Error system_error(Napi::Env env, int code) {
  return Napi::Error::New(env, std::system_category().message(code));
}

size_t bytes_of(const Napi::Value& value, const char* what) {
  if (!value.IsNumber()) throw Napi::TypeError::New(value.Env(), std::string(what) + " must be a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= kMostBytes)) {
    throw Napi::RangeError::New(value.Env(), std::string(what) + " is out of range");
  }
  return static_cast<size_t>(number);
}

Handle& handle_of(const Napi::Value& value) {
  if (!value.IsExternal()) throw Napi::TypeError::New(value.Env(), "the mapping must be one of mapFile");
  Handle& handle = *value.As<Napi::External<Handle>>().Data();
  if (!handle.mapping) throw Napi::Error::New(value.Env(), "the file was unmapped");
  return handle;
}

struct Range {
  std::shared_ptr<Mapping> mapping;
  unsigned char* begin;
  size_t bytes;
};

// The arguments (mapping, position, sizeBytes) as a range. Throws if it is not within the mapping.
Range range_of(const Napi::CallbackInfo& info) {
  const std::shared_ptr<Mapping>& mapping = handle_of(info[0]).mapping;
  const size_t position = bytes_of(info[1], "position");
  const size_t bytes = bytes_of(info[2], "sizeBytes");
  if (position > mapping->bytes || bytes > mapping->bytes - position) {
    throw Napi::RangeError::New(info.Env(), "the range reaches outside the mapped file");
  }
  return {mapping, mapping->begin + position, bytes};
}

// mapFile(fd, sizeBytes): maps the first `sizeBytes` of a regular file. Throws if the file is shorter.
Napi::Value map_file_call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const size_t bytes = bytes_of(info[1], "sizeBytes");
  const int fd = info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : -1;
  struct stat stats = {};
  if (fstat(fd, &stats) != 0) throw system_error(env, errno);
  if (!S_ISREG(stats.st_mode)) throw Napi::Error::New(env, "it is not a regular file");
  if (static_cast<uint64_t>(stats.st_size) < bytes) throw Napi::Error::New(env, "it became shorter");
  if (bytes == 0) throw Napi::Error::New(env, "it is empty");
  void* begin = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (begin == MAP_FAILED) throw system_error(env, errno);
  auto handle = std::make_unique<Handle>();
  handle->mapping = std::make_shared<Mapping>(static_cast<unsigned char*>(begin), bytes);
  return Napi::External<Handle>::New(env, handle.release(), [](Napi::Env, Handle* held) { delete held; });
}

Napi::Value mapping_address_call(const Napi::CallbackInfo& info) {
  const auto address = reinterpret_cast<uintptr_t>(handle_of(info[0]).mapping->begin);
  return Napi::Number::New(info.Env(), static_cast<double>(address));
}

// Work whose time grows with the range runs on a libuv thread, so that the event loop waits neither for the disk nor
// for page tables.
class RangeWork final : public Napi::AsyncWorker {
 public:
  enum class Kind { page_in, release };

  RangeWork(Napi::Env env, Kind kind, Range range)
      : Napi::AsyncWorker(env), kind_(kind), range_(std::move(range)), deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    if (kind_ == Kind::page_in) page_in();
    if (kind_ == Kind::release) release();
    range_.mapping.reset();  // if this is the last reference, munmap runs here and not on the event loop
  }

  void OnOK() override { deferred_.Resolve(Env().Undefined()); }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  void page_in() {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(range_.begin) & ~(kPageBytes - 1);
    const size_t bytes = reinterpret_cast<uintptr_t>(range_.begin) + range_.bytes - begin;
    auto* pages = reinterpret_cast<unsigned char*>(begin);
    // Starts all reads before waiting for the first page.
    madvise(pages, bytes, MADV_WILLNEED);
    // In steps: each call locks the address space, and the event loop may need to allocate in between.
    for (size_t at = 0; at < bytes; at += kStepBytes) {
      const size_t step = std::min(kStepBytes, bytes - at);
      if (madvise(pages + at, step, kPopulateRead) == 0) continue;
      if (errno == EFAULT) return SetError("it became shorter, or cannot be read");
      // The system does not have MADV_POPULATE_READ: touch the pages. If another process truncates the file at this
      // moment, that read ends the process (SIGBUS); MADV_POPULATE_READ would have returned EFAULT.
      for (size_t page = at; page < at + step; page += kPageBytes) {
        static_cast<void>(*static_cast<volatile unsigned char*>(pages + page));
      }
    }
  }

  // Releases the whole pages of the range: they no longer count as memory of this process, and are read from the page
  // cache or the file when they are touched again.
  void release() {
    const auto begin = reinterpret_cast<uintptr_t>(range_.begin);
    const uintptr_t first = (begin + kPageBytes - 1) & ~(kPageBytes - 1);
    const uintptr_t end = (begin + range_.bytes) & ~(kPageBytes - 1);
    for (uintptr_t at = first; at < end; at += kStepBytes) {
      madvise(reinterpret_cast<void*>(at), std::min<uintptr_t>(kStepBytes, end - at), MADV_DONTNEED);
    }
  }

  Kind kind_;
  Range range_;
  Napi::Promise::Deferred deferred_;
};

Napi::Promise start(Napi::Env env, RangeWork::Kind kind, Range range) {
  auto* work = new RangeWork(env, kind, std::move(range));
  const Napi::Promise promise = work->promise();
  work->Queue();  // deletes itself at its end
  return promise;
}

Napi::Value page_in_call(const Napi::CallbackInfo& info) {
  return start(info.Env(), RangeWork::Kind::page_in, range_of(info));
}

Napi::Value release_mapped_call(const Napi::CallbackInfo& info) {
  return start(info.Env(), RangeWork::Kind::release, range_of(info));
}

// unmapFile(mapping): empties the handle at once. The pages are released and unmapped on a libuv thread; nothing waits
// for that.
void unmap_file_call(const Napi::CallbackInfo& info) {
  std::shared_ptr<Mapping> mapping = std::move(handle_of(info[0]).mapping);
  Range all = {mapping, mapping->begin, mapping->bytes};
  mapping.reset();
  start(info.Env(), RangeWork::Kind::release, std::move(all));
}

}  // namespace

void export_mapped_files(Napi::Env env, Napi::Object exports) {
  exports.Set("mapFile", Napi::Function::New<map_file_call>(env));
  exports.Set("mappingAddress", Napi::Function::New<mapping_address_call>(env));
  exports.Set("unmapFile", Napi::Function::New<unmap_file_call>(env));
  exports.Set("releaseMapped", Napi::Function::New<release_mapped_call>(env));
  exports.Set("pageIn", Napi::Function::New<page_in_call>(env));
}
