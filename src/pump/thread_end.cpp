#include "pump/thread_end.hpp"

#include <utility>
#include <vector>

#include "pump/group_core.hpp"

namespace udppump::detail {

namespace {

class groups_of_a_thread {
 public:
  ~groups_of_a_thread() {
    for (const auto& each : groups_) {
      if (const auto group = each.lock()) group->on_thread_end();
    }
  }
  void add(std::weak_ptr<group_core> group) {
    std::erase_if(groups_, [](const auto& each) { return each.expired(); });
    groups_.push_back(std::move(group));
  }

 private:
  std::vector<std::weak_ptr<group_core>> groups_;
};

}  // namespace

void tell_at_thread_end(std::weak_ptr<group_core> group) {
  thread_local groups_of_a_thread groups;
  groups.add(std::move(group));
}

}  // namespace udppump::detail
