#include "pool/lifeline.hpp"

#include <cerrno>
#include <cstddef>
#include <utility>

#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

/// Each takes two descriptors.
constexpr std::size_t most_kept = 32;

bool is_empty(pid_t group) noexcept { return sys::kill(-group, 0) == -ESRCH; }

void let_go(const lifeline& line) noexcept { static_cast<void>(sys::end_signals_on_news(line.workers_end.fd())); }

}  // namespace

void lifeline::list(std::vector<int>& own) const {
  for (const descriptor* one : {&workers_end, &parents_end}) {
    if (*one) own.push_back(one->fd());
  }
}

left_groups::~left_groups() {
  for (const left& one : all_) let_go(one.line);
}

void left_groups::add(pid_t group, lifeline line) {
  if (!line.parents_end || is_empty(group)) return;
  if (all_.size() == most_kept) {
    let_go(all_.front().line);
    all_.erase(all_.begin());
  }
  all_.push_back({group, std::move(line)});
}

void left_groups::look() noexcept {
  std::erase_if(all_, [](const left& one) { return is_empty(one.group); });
}

void left_groups::list(std::vector<int>& own) const {
  for (const left& one : all_) one.line.list(own);
}

}  // namespace udppump::detail
