// Calls workers that are away, and sleep in JavaScript, to a shift. The coordinator calls the first ones, each of which calls
// others. The caller notifies the called worker from JavaScript. See executor.h, and "Call in a chain" in
// src/team/README.md.
#include <algorithm>
#include <initializer_list>

#include "core/cpu.h"
#include "core/executor.h"
#include "core/spin.h"

namespace tesserae {
namespace {

bool is_away(const Seat& seat) {
  return seat.state.load(std::memory_order_seq_cst) == static_cast<uint32_t>(SeatState::away);
}

}  // namespace

bool call_to_shift(Control& control, uint32_t seat_index) {
  Seat& seat = control.seats()[seat_index];
  uint32_t away = static_cast<uint32_t>(SeatState::away);
  return seat.state.compare_exchange_strong(away, static_cast<uint32_t>(SeatState::on_shift), std::memory_order_seq_cst);
}

uint32_t call_to_shift(Control& control, uint8_t* seats, uint32_t most, CallerNext next) {
  uint32_t on_shift = 0;
  for (uint32_t seat = 0; seat < control.seat_count; ++seat) {
    if (!is_away(control.seats()[seat])) ++on_shift;
  }
  const uint32_t wanted = most > on_shift ? most - on_shift : 0;
  const uint32_t later = wanted > kCallsEach ? wanted - kCallsEach : 0;
  // Before the calls, so that the called workers see it. Replaces what an earlier program has left.
  if (control.calls_owed.load(std::memory_order_seq_cst) != later) {
    control.calls_owed.store(later, std::memory_order_seq_cst);
  }
  if (wanted == 0) return 0;
  const uint32_t own = std::min(wanted, kCallsEach);
  uint32_t called = 0;
  const int32_t cpu = current_cpu();
  for (const bool first : {true, false}) {
    for (uint32_t seat = 0; seat < control.seat_count && called < own; ++seat) {
      if (comes_first(control.seats()[seat], cpu, next) != first) continue;
      if (is_away(control.seats()[seat]) && call_to_shift(control, seat)) seats[called++] = static_cast<uint8_t>(seat);
    }
  }
  return called;
}

int32_t call_another(Control& control, uint32_t seat_index) {
  uint32_t owed = control.calls_owed.load(std::memory_order_seq_cst);
  do {
    if (owed == 0) return -1;
  } while (!control.calls_owed.compare_exchange_weak(owed, owed - 1, std::memory_order_seq_cst));
  // No two workers take the same number, so each begins its search at another seat. If all were away, and the coordinator
  // has called the first two, the seat there is the one to call.
  for (uint32_t step = 1; step <= control.seat_count; ++step) {
    const uint32_t seat = (owed + step) % control.seat_count;
    if (!is_away(control.seats()[seat]) || !call_to_shift(control, seat)) continue;
    add(control.seats()[seat_index].calls, 1);
    return static_cast<int32_t>(seat);
  }
  return -1;
}

bool comes_first(const Seat& seat, int32_t cpu, CallerNext next) {
  return (seat.cpu.load(std::memory_order_relaxed) == cpu) == (next == CallerNext::rests);
}

}  // namespace tesserae
