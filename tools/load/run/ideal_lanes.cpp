#include "load/run/ideal_lanes.hpp"

#include <deque>
#include <functional>
#include <queue>
#include <set>
#include <stdexcept>
#include <utility>

namespace udppump::load {
namespace {

/// The first worker that serves each lane.
std::vector<std::size_t> first_workers(std::size_t workers, std::span<const std::size_t> reserve) {
  std::vector<std::size_t> first;
  std::size_t kept = 0;
  for (const std::size_t own : reserve) {
    if (kept >= workers) throw std::invalid_argument{"the lanes before reserve all workers; reserve fewer"};
    first.push_back(kept);
    kept += own;
  }
  return first;
}

class lanes_of_workers {
 public:
  lanes_of_workers(std::span<const lane_request> requests, std::size_t workers, std::span<const std::size_t> reserve)
      : requests_{requests},
        first_{first_workers(workers, reserve)},
        waiting_(reserve.size()),
        sojourn_(requests.size()) {
    for (std::size_t worker = 0; worker < workers; ++worker) free_.insert(worker);
  }

  std::vector<nanoseconds> serve() {
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      const auto& each = requests_[i];
      if (each.lane >= first_.size()) throw std::invalid_argument{"a request of a lane that is not there"};
      release_until(each.arrival);
      const auto worker = free_.lower_bound(first_[each.lane]);
      if (worker == free_.end()) {
        waiting_[each.lane].push_back(i);
        continue;
      }
      begin(i, *worker, each.arrival);
      free_.erase(worker);
    }
    release_until(nanoseconds::max());
    return std::move(sojourn_);
  }

 private:
  void begin(std::size_t request, std::size_t worker, nanoseconds now) {
    const nanoseconds done = now + requests_[request].service;
    sojourn_[request] = done - requests_[request].arrival;
    busy_.emplace(done, worker);
  }

  /// Whoever is free by then takes what waits, or is free for who comes.
  void release_until(nanoseconds time) {
    while (!busy_.empty() && busy_.top().first <= time) {
      const auto [now, worker] = busy_.top();
      busy_.pop();
      if (!take_waiting(worker, now)) free_.insert(worker);
    }
  }

  bool take_waiting(std::size_t worker, nanoseconds now) {
    for (std::size_t lane = 0; lane < waiting_.size() && first_[lane] <= worker; ++lane) {
      if (waiting_[lane].empty()) continue;
      const std::size_t oldest = waiting_[lane].front();
      waiting_[lane].pop_front();
      begin(oldest, worker, now);
      return true;
    }
    return false;
  }

  using release = std::pair<nanoseconds, std::size_t>;
  std::span<const lane_request> requests_;
  std::vector<std::size_t> first_;
  std::vector<std::deque<std::size_t>> waiting_;
  std::vector<nanoseconds> sojourn_;
  std::set<std::size_t> free_;
  std::priority_queue<release, std::vector<release>, std::greater<>> busy_;
};

}  // namespace

std::vector<nanoseconds> serve_in_ideal_lanes(std::span<const lane_request> requests, std::size_t workers,
                                              std::span<const std::size_t> reserve) {
  if (workers == 0) throw std::invalid_argument{"lanes need at least one worker; give 1 or more"};
  return lanes_of_workers{requests, workers, reserve}.serve();
}

}  // namespace udppump::load
