#include "load/run/work_service.hpp"

#include <algorithm>

namespace udppump::load {

// Enough for what timers are late on a virtual machine; see punctual_sleep.
work_service::work_service(service_mode mode, std::uint16_t worker) noexcept
    : mode_{mode}, worker_{worker}, sleep_{std::chrono::microseconds{60}} {}

std::optional<work_service::answer_bytes> work_service::serve(std::span<const std::byte> payload,
                                                              std::optional<nanoseconds> waited) noexcept {
  const nanoseconds began = monotonic_now();
  const auto request = read_work_request(payload);
  if (!request) return {};
  const nanoseconds work = std::min(request->asked, longest_work);
  if (mode_ == service_mode::sleep) {
    sleep_.until(began + work);
  } else {
    for (const nanoseconds done = thread_cpu_now() + work; thread_cpu_now() < done;) continue;
  }
  const nanoseconds used = monotonic_now() - began;
  asked_ += work;
  used_ += used;
  answer_bytes bytes;
  write(work_answer{.id = request->id,
                    .asked = request->asked,
                    .used = used,
                    .waited = waited,
                    .began = began,
                    .worker = worker_},
        bytes);
  return bytes;
}

}  // namespace udppump::load
