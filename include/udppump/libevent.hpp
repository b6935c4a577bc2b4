#pragma once

#include <event2/event.h>

#include <concepts>
#include <exception>
#include <new>
#include <system_error>
#include <utility>

namespace udppump {

/// What a watch can attach to an event loop: a pump or a pump_group.
template <class Source>
concept dispatchable = requires(Source& source) {
  { source.wake_fd() } -> std::convertible_to<int>;
  { source.dispatch() } -> std::convertible_to<std::error_code>;
};

/// Attaches a pump (or a pump_group) to a libevent event_base: from construction to destruction, the base's loop serves
/// it. `base` and `source` must outlive the watch. Use it on the thread that runs the base.
///
/// Inside a handler everything is allowed: event_base_loopbreak(), destroying the watch, destroying the pump after it.
///
/// In a forked child: event_reinit(base) before anything else, since until then the base's epoll is the parent's, and
/// even a destructor here would take the parent's watch off it. Then pump.after_fork(), destroy the old watch, make a
/// new one. A watch that finds its pump unusable takes itself off the base; error() tells why.
///
/// An exception that leaves the handler cannot pass through libevent, which is C: the loop is broken as by
/// event_base_loopbreak(), and rethrow() throws it; it is lost if the handler also destroyed the watch. With
/// pump_options::on_exception none gets this far.
class libevent_watch {
 public:
  struct options {
    /// Of event_priority_set(); -1 leaves libevent's default, the middle.
    int priority = -1;
  };

  /// Throws std::system_error or std::bad_alloc if libevent refuses.
  template <dispatchable Source>
  libevent_watch(event_base* base, Source& source, options chosen)
      : base_{base},
        source_{&source},
        dispatch_{[](void* target) -> std::error_code { return static_cast<Source*>(target)->dispatch(); }},
        edge_triggered_{[](void* target, bool is) {
          if constexpr (requires(Source & told) { told.edge_triggered(true); }) {
            static_cast<Source*>(target)->edge_triggered(is);
          }
        }} {
    const short edge = (event_base_get_features(base) & EV_FEATURE_ET) != 0 ? EV_ET : 0;
    event_ = event_new(base, source.wake_fd(), static_cast<short>(EV_READ | EV_PERSIST | edge),
                       &libevent_watch::on_readable, this);
    if (event_ == nullptr) throw std::bad_alloc{};
    const bool refused =
        (chosen.priority >= 0 && event_priority_set(event_, chosen.priority) != 0) || event_add(event_, nullptr) != 0;
    if (!refused) {
      edge_triggered_(source_, edge != 0);
      return;
    }
    event_free(event_);
    throw std::system_error{std::make_error_code(std::errc::invalid_argument),
                            "libevent_watch: event_priority_set or event_add refused; is the priority below that of "
                            "event_base_priority_init()?"};
  }
  template <dispatchable Source>
  libevent_watch(event_base* base, Source& source) : libevent_watch{base, source, options{}} {}

  ~libevent_watch() {
    if (destroyed_ != nullptr) *destroyed_ = true;
    event_free(event_);
    edge_triggered_(source_, false);
  }
  libevent_watch(const libevent_watch&) = delete;
  libevent_watch& operator=(const libevent_watch&) = delete;

  /// Why the watch took itself off the base; empty while it is attached.
  std::error_code error() const noexcept { return error_; }
  /// Throws what left the handler and broke the loop, once; does nothing otherwise.
  void rethrow() {
    if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
  }

 private:
  static void on_readable(evutil_socket_t, short, void* self) { static_cast<libevent_watch*>(self)->serve(); }

  void serve() {
    bool destroyed = false;  // by the handler
    destroyed_ = &destroyed;
    std::error_code failed;
    std::exception_ptr thrown;
    event_base* const base = base_;
    try {
      failed = dispatch_(source_);
    } catch (...) {
      thrown = std::current_exception();
    }
    if (thrown) event_base_loopbreak(base);
    if (destroyed) return;
    destroyed_ = nullptr;
    exception_ = thrown;
    if (!failed) return;
    error_ = failed;
    event_del(event_);
  }

  event_base* base_;
  void* source_;
  std::error_code (*dispatch_)(void*);
  void (*edge_triggered_)(void*, bool);
  event* event_ = nullptr;
  bool* destroyed_ = nullptr;
  std::error_code error_;
  std::exception_ptr exception_;
};

}  // namespace udppump
