// The Node-API binding: checks types, lengths and alignment, and calls the executor. It has no state: the main thread
// and every worker load it at the same time. src/native/addon.ts declares its TypeScript types.
#include <napi.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "core/executor.h"
#include "kernels/block_sizes.h"
#include "core/program_check.h"
#include "kernels/table.h"

namespace {

using namespace tesserae;

// The address of a typed array's first byte; the same in every thread for shared memory. With `length_bytes` the array
// must be a Uint8Array, and its length is returned there.
uintptr_t address_of(const Napi::Value& value, const char* what, size_t* length_bytes = nullptr) {
  const Napi::Env env = value.Env();
  if (!value.IsTypedArray()) throw Napi::TypeError::New(env, std::string(what) + " must be a typed array");
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok) {
    throw Napi::TypeError::New(env, std::string(what) + " cannot be read");
  }
  if (length_bytes != nullptr) {
    if (type != napi_uint8_array) throw Napi::TypeError::New(env, std::string(what) + " must be a Uint8Array");
    *length_bytes = length;
  }
  return reinterpret_cast<uintptr_t>(data);
}

// The address of a Uint8Array that is aligned to a cache line and at least `bytes` long.
unsigned char* block(const Napi::Value& value, size_t bytes, const char* what) {
  size_t length = 0;
  const uintptr_t address = address_of(value, what, &length);
  if (address % kCacheLineBytes != 0) throw Napi::RangeError::New(value.Env(), std::string(what) + " is not aligned");
  if (length < bytes) throw Napi::RangeError::New(value.Env(), std::string(what) + " is too short");
  return reinterpret_cast<unsigned char*>(address);
}

Control& control_of(const Napi::Value& value) {
  auto* control = reinterpret_cast<Control*>(block(value, sizeof(Control), "the control block"));
  block(value, control_bytes(control->seat_count), "the control block");
  return *control;
}

ProgramHeader& program_of(const Napi::Value& value) {
  auto* program = reinterpret_cast<ProgramHeader*>(block(value, sizeof(ProgramHeader), "the program"));
  block(value, program_bytes(program->op_count), "the program");
  return *program;
}

// A Float64Array of regions, three numbers each.
const Region* regions_of(const Napi::Value& value, size_t* count) {
  const Napi::Env env = value.Env();
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    throw Napi::TypeError::New(env, "the regions must be a Float64Array");
  }
  *count = value.As<Napi::TypedArray>().ElementLength() / 3;
  return reinterpret_cast<const Region*>(address_of(value, "the regions"));
}

// A number from 0 to limit - 1.
uint32_t index_of(const Napi::Value& value, uint32_t limit, const char* what) {
  if (!value.IsNumber()) throw Napi::TypeError::New(value.Env(), std::string(what) + " must be a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number < limit)) throw Napi::RangeError::New(value.Env(), std::string(what) + " is out of range");
  return static_cast<uint32_t>(number);
}

Napi::Value address_of_call(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(address_of(info[0], "the argument")));
}

Isa isa_named(Napi::Env env, const std::string& name) {
  for (const Isa isa : kAllIsas) {
    if (name == kernel_set(isa).isa && isa_supported(isa)) return isa;
  }
  throw Napi::Error::New(env, "this CPU has no kernel set " + name);
}

// controlInit(control, { isa, seats, idleSpinNs, lingerUs, scratch })
void control_init_call(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[1].As<Napi::Object>();
  TeamOptions team = {};
  team.isa = static_cast<uint32_t>(isa_named(info.Env(), options.Get("isa").ToString().Utf8Value()));
  team.seats = index_of(options.Get("seats"), kMaxSeats + 1, "seats");
  team.idle_spin_ns = index_of(options.Get("idleSpinNs"), UINT32_MAX, "idleSpinNs");
  team.linger_ns = uint64_t{index_of(options.Get("lingerUs"), UINT32_MAX, "lingerUs")} * 1000;
  team.scratch = block(options.Get("scratch"), size_t{team.seats + 1} * kScratchBytes, "the scratch memory");
  auto* control = block(info[0], control_bytes(team.seats), "the control block");
  control_init(*reinterpret_cast<Control*>(control), team);
}

// checkProgram(program, regions): { op, problem }, or undefined if every tile stays within the regions.
Napi::Value check_program_call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  size_t count = 0;
  const Region* regions = regions_of(info[1], &count);
  const ProgramFault fault = check_program(program_of(info[0]), regions, count);
  if (fault.problem == nullptr) return env.Undefined();
  Napi::Object result = Napi::Object::New(env);
  result.Set("op", static_cast<double>(fault.op));
  result.Set("problem", fault.problem);
  return result;
}

void publish_call(const Napi::CallbackInfo& info) {
  const uint32_t most_workers = index_of(info[3], kMaxSeats + 1, "mostWorkers");
  const auto next = static_cast<CallerNext>(index_of(info[4], 2, "next"));
  publish(control_of(info[0]), index_of(info[1], kSlots, "slot"), program_of(info[2]), most_workers, next);
}

// assist(control, slot, program, budgetUs): returns whether the program is finished.
Napi::Value assist_call(const Napi::CallbackInfo& info) {
  const uint64_t budget_ns = uint64_t{index_of(info[3], 1'000'000, "budgetUs")} * 1000;
  const bool finished = assist(control_of(info[0]), index_of(info[1], kSlots, "slot"), program_of(info[2]), budget_ns);
  return Napi::Boolean::New(info.Env(), finished);
}

Napi::Value slot_is_free_call(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), slot_is_free(control_of(info[0]), index_of(info[1], kSlots, "slot")));
}

Napi::Value run_state_call(const Napi::CallbackInfo& info) {
  const RunState state = run_state(control_of(info[0]), index_of(info[1], kSlots, "slot"), program_of(info[2]));
  return Napi::Number::New(info.Env(), static_cast<int32_t>(state));
}

Napi::Value describe_failure(Napi::Env env, uint64_t failure) {
  if (failure == 0) return env.Undefined();
  Napi::Object result = Napi::Object::New(env);
  result.Set("status", static_cast<double>(failure >> 56));
  result.Set("op", static_cast<double>((failure >> 32) & 0xffffff));
  result.Set("tile", static_cast<double>(failure & 0xffffffff));
  return result;
}

// failure(control, slot): the first failure of the run in the slot, or undefined. To be called before retire().
Napi::Value failure_call(const Napi::CallbackInfo& info) {
  const uint32_t slot = index_of(info[1], kSlots, "slot");
  return describe_failure(info.Env(), control_of(info[0]).slots[slot].failure.load(std::memory_order_seq_cst));
}

void cancel_call(const Napi::CallbackInfo& info) {
  cancel(control_of(info[0]), index_of(info[1], kSlots, "slot"));
}

void retire_call(const Napi::CallbackInfo& info) {
  retire(control_of(info[0]), index_of(info[1], kSlots, "slot"), program_of(info[2]));
}

Napi::Value bury_call(const Napi::CallbackInfo& info) {
  Control& control = control_of(info[0]);
  return Napi::Number::New(info.Env(), bury(control, index_of(info[1], control.seat_count, "seat")));
}

// callToShift(control, seats, most, next): writes the numbers of the claimed seats into `seats` (a Uint8Array of
// layout.callsEach) and returns how many.
Napi::Value call_to_shift_call(const Napi::CallbackInfo& info) {
  size_t capacity = 0;
  auto* seats = reinterpret_cast<uint8_t*>(address_of(info[1], "the seats", &capacity));
  if (capacity < kCallsEach) throw Napi::RangeError::New(info.Env(), "the seats are too few");
  const uint32_t most = index_of(info[2], kMaxSeats + 1, "most");
  const auto next = static_cast<CallerNext>(index_of(info[3], 2, "next"));
  return Napi::Number::New(info.Env(), call_to_shift(control_of(info[0]), seats, most, next));
}

void close_team_call(const Napi::CallbackInfo& info) { close_team(control_of(info[0])); }

Napi::Value run_inline_call(const Napi::CallbackInfo& info) {
  return describe_failure(info.Env(), run_inline(control_of(info[0]), program_of(info[1])));
}

void take_seat_call(const Napi::CallbackInfo& info) {
  Control& control = control_of(info[0]);
  take_seat(control, index_of(info[1], control.seat_count, "seat"));
}

Napi::Value call_another_call(const Napi::CallbackInfo& info) {
  Control& control = control_of(info[0]);
  return Napi::Number::New(info.Env(), call_another(control, index_of(info[1], control.seat_count, "seat")));
}

Napi::Value work_call(const Napi::CallbackInfo& info) {
  Control& control = control_of(info[0]);
  const WorkResult result = work(control, index_of(info[1], control.seat_count, "seat"));
  return Napi::Number::New(info.Env(), static_cast<int32_t>(result));
}

// teamStats(control): { ops: [{ op, tiles, ns }], sleeps, spinsWon, calls }. `ops` has an entry for each opcode, summed over
// all seats, the calling thread's included; the others are sums over the workers.
Napi::Value team_stats_call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Control& control = control_of(info[0]);
  Napi::Array ops = Napi::Array::New(env, kernel_count());
  for (uint32_t opcode = 0; opcode < kernel_count(); ++opcode) {
    uint64_t tiles = 0;
    uint64_t ns = 0;
    for (uint32_t seat = 0; seat <= control.seat_count; ++seat) {
      tiles += control.seats()[seat].op_tiles[opcode].load(std::memory_order_relaxed);
      ns += control.seats()[seat].op_ns[opcode].load(std::memory_order_relaxed);
    }
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("op", kernel_info(opcode).name);
    entry.Set("tiles", static_cast<double>(tiles));
    entry.Set("ns", static_cast<double>(ns));
    ops.Set(opcode, entry);
  }
  uint64_t sleeps = 0;
  uint64_t spins_won = 0;
  uint64_t calls = 0;
  for (uint32_t seat = 0; seat < control.seat_count; ++seat) {
    sleeps += control.seats()[seat].sleeps.load(std::memory_order_relaxed);
    spins_won += control.seats()[seat].spins_won.load(std::memory_order_relaxed);
    calls += control.seats()[seat].calls.load(std::memory_order_relaxed);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("ops", ops);
  result.Set("sleeps", static_cast<double>(sleeps));
  result.Set("spinsWon", static_cast<double>(spins_won));
  result.Set("calls", static_cast<double>(calls));
  return result;
}

constexpr double kMostMappedBytes = 1ull << 46;

// Calls madvise for the pages that lie completely within a block. Errors are ignored: nothing depends on the advice.
void advise(const Napi::Value& value, int advice) {
  size_t length = 0;
  const uintptr_t begin = address_of(value, "the block", &length);
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t first = (begin + page - 1) & ~(page - 1);
  const uintptr_t end = (begin + length) & ~(page - 1);
  if (end > first) madvise(reinterpret_cast<void*>(first), end - first, advice);
}

void advise_huge_pages_call(const Napi::CallbackInfo& info) { advise(info[0], MADV_HUGEPAGE); }

// Discards the contents of the block's whole pages: they read as zeros from here on.
void release_pages_call(const Napi::CallbackInfo& info) { advise(info[0], MADV_DONTNEED); }

// mapFile(fd, bytes): the address of the file's first `bytes`, read-only and shared with other processes.
Napi::Value map_file_call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto fd = static_cast<int>(index_of(info[0], INT32_MAX, "fd"));
  const double bytes = info[1].ToNumber().DoubleValue();
  if (!(bytes >= 1 && bytes <= kMostMappedBytes)) throw Napi::RangeError::New(env, "the size is out of range");
  void* address = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) throw Napi::Error::New(env, "mmap failed with error " + std::to_string(errno));
  return Napi::Number::New(env, static_cast<double>(reinterpret_cast<uintptr_t>(address)));
}

// unmapFile(address, bytes): takes back a mapping of mapFile.
void unmap_file_call(const Napi::CallbackInfo& info) {
  const auto address = static_cast<uintptr_t>(info[0].ToNumber().Int64Value());
  munmap(reinterpret_cast<void*>(address), static_cast<size_t>(info[1].ToNumber().Int64Value()));
}

Napi::Value describe_kernels(Napi::Env env) {
  Napi::Array kernels = Napi::Array::New(env, kernel_count());
  for (uint32_t opcode = 0; opcode < kernel_count(); ++opcode) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", kernel_info(opcode).name);
    entry.Set("paramWords", static_cast<double>(kernel_info(opcode).params_bytes / 8));
    kernels.Set(opcode, entry);
  }
  return kernels;
}

Napi::Value describe_isas(Napi::Env env) {
  Napi::Array isas = Napi::Array::New(env);
  for (const Isa isa : kAllIsas) {
    if (isa_supported(isa)) isas.Set(isas.Length(), kernel_set(isa).isa);
  }
  return isas;
}

Napi::Value describe_layout(Napi::Env env) {
  Napi::Object layout = Napi::Object::New(env);
  layout.Set("headerBytes", static_cast<double>(sizeof(ProgramHeader)));
  layout.Set("headerTraceBytes", static_cast<double>(offsetof(ProgramHeader, trace)));
  layout.Set("tileTraceBytes", static_cast<double>(sizeof(TileTrace)));
  layout.Set("recordBytes", static_cast<double>(sizeof(OpRecord)));
  layout.Set("recordParamsBytes", static_cast<double>(offsetof(OpRecord, params)));
  layout.Set("counterBytes", static_cast<double>(sizeof(OpCounters)));
  layout.Set("controlBytes", static_cast<double>(sizeof(Control)));
  layout.Set("seatBytes", static_cast<double>(sizeof(Seat)));
  layout.Set("seatStateBytes", static_cast<double>(offsetof(Seat, state)));
  layout.Set("scratchBytes", static_cast<double>(kScratchBytes));
  layout.Set("endingsOffsetBytes", static_cast<double>(offsetof(Control, endings)));
  layout.Set("slots", static_cast<double>(kSlots));
  layout.Set("maxSeats", static_cast<double>(kMaxSeats));
  layout.Set("callsEach", static_cast<double>(kCallsEach));
  return layout;
}

Napi::Value describe_products(Napi::Env env) {
  Napi::Object products = Napi::Object::New(env);
  for (const Isa isa : kAllIsas) {
    const KernelSet& set = kernel_set(isa);
    Napi::Object product = Napi::Object::New(env);
    product.Set("mr", static_cast<double>(set.micro_rows));
    product.Set("nr", static_cast<double>(set.micro_columns));
    product.Set("thinAcross", static_cast<double>(set.thin_across));
    if (isa_supported(isa)) products.Set(set.isa, product);
  }
  return products;
}

Napi::Value describe_default_block_sizes(Napi::Env env) {
  Napi::Object sizes = Napi::Object::New(env);
  sizes.Set("kc", static_cast<double>(kDefaultBlockSizes.kc));
  sizes.Set("nc", static_cast<double>(kDefaultBlockSizes.nc));
  sizes.Set("mc", static_cast<double>(kDefaultBlockSizes.mc));
  return sizes;
}

// blockSizesValid({ kc, nc, mc }): whether such blocks fit into the scratch memory and consist of whole panels.
Napi::Value block_sizes_valid_call(const Napi::CallbackInfo& info) {
  const Napi::Object sizes = info[0].As<Napi::Object>();
  const auto size = [&](const char* name) { return static_cast<int64_t>(index_of(sizes.Get(name), UINT32_MAX, name)); };
  return Napi::Boolean::New(info.Env(), block_sizes_valid({size("kc"), size("nc"), size("mc")}));
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("kernels", describe_kernels(env));
  exports.Set("isas", describe_isas(env));
  exports.Set("layout", describe_layout(env));
  exports.Set("products", describe_products(env));
  exports.Set("defaultBlockSizes", describe_default_block_sizes(env));
  exports.Set("blockSizesValid", Napi::Function::New<block_sizes_valid_call>(env));
  exports.Set("addressOf", Napi::Function::New<address_of_call>(env));
  exports.Set("controlInit", Napi::Function::New<control_init_call>(env));
  exports.Set("checkProgram", Napi::Function::New<check_program_call>(env));
  exports.Set("publish", Napi::Function::New<publish_call>(env));
  exports.Set("assist", Napi::Function::New<assist_call>(env));
  exports.Set("slotIsFree", Napi::Function::New<slot_is_free_call>(env));
  exports.Set("runState", Napi::Function::New<run_state_call>(env));
  exports.Set("failure", Napi::Function::New<failure_call>(env));
  exports.Set("cancel", Napi::Function::New<cancel_call>(env));
  exports.Set("retire", Napi::Function::New<retire_call>(env));
  exports.Set("bury", Napi::Function::New<bury_call>(env));
  exports.Set("callToShift", Napi::Function::New<call_to_shift_call>(env));
  exports.Set("closeTeam", Napi::Function::New<close_team_call>(env));
  exports.Set("runInline", Napi::Function::New<run_inline_call>(env));
  exports.Set("takeSeat", Napi::Function::New<take_seat_call>(env));
  exports.Set("callAnother", Napi::Function::New<call_another_call>(env));
  exports.Set("work", Napi::Function::New<work_call>(env));
  exports.Set("teamStats", Napi::Function::New<team_stats_call>(env));
  exports.Set("adviseHugePages", Napi::Function::New<advise_huge_pages_call>(env));
  exports.Set("releasePages", Napi::Function::New<release_pages_call>(env));
  exports.Set("mapFile", Napi::Function::New<map_file_call>(env));
  exports.Set("unmapFile", Napi::Function::New<unmap_file_call>(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(tesserae, init)
