#include <atomic>
#include <thread>

#include "pool/running_worker.hpp"
#include "pool/worker_setup.hpp"
#include "sys/failure.hpp"
#include "sys/sys_process.hpp"
#include "sys/wake_signal.hpp"

namespace udppump::detail {

namespace {

class thread_worker : public running_worker {
 public:
  thread_worker(const launch_context& context, const assignment& what, const worker_body& body)
      : context_{context}, page_{what.page}, thread_{[this, what, body] { work(what, body); }} {}
  ~thread_worker() override {
    if (!thread_.joinable()) return;
    thread_worker::ask_to_stop();
    thread_.join();
  }
  thread_worker(const thread_worker&) = delete;
  thread_worker& operator=(const thread_worker&) = delete;

  std::optional<worker_end> ended() override {
    if (!over_.load(std::memory_order_acquire) || !thread_.joinable()) return {};
    thread_.join();
    return end_;
  }
  void ask_to_stop() noexcept override {
    context_.shared->page(page_).orders.fetch_or(order_stop, std::memory_order_release);
    context_.shared->notify(page_);
  }
  bool kill() noexcept override { return false; }

 private:
  void work(const assignment& what, const worker_body& body) {
    context_.shared->page(page_).pid = ::gettid();
    try {
      set_up_worker(context_.options, what.number, true);
      end_ = run_body(context_, what, body);
    } catch (const std::exception& refused) {
      end_ = {.by_signal = false, .code = status_no_setup, .words = refused.what(), .hopeless = true};
    }
    over_.store(true, std::memory_order_release);
    notify(context_.shared->parent_signal());
  }

  const launch_context& context_;
  const std::size_t page_;
  worker_end end_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

class thread_launcher : public launcher {
 public:
  thread_launcher(const launch_context& context, worker_body body) : context_{context}, body_{std::move(body)} {}
  std::unique_ptr<running_worker> start(const assignment& what) override {
    static_cast<void>(context_.shared->page_signal(what.page));
    try {
      return std::make_unique<thread_worker>(context_, what, body_);
    } catch (const std::system_error& refused) {
      fail(refused.code().value(),
           "thread: raise the limit on threads (ulimit -u, systemd's TasksMax=), or take fewer");
    }
  }
  bool keeps_pages() const noexcept override { return true; }

 private:
  const launch_context& context_;
  const worker_body body_;
};

}  // namespace

std::unique_ptr<launcher> make_thread_launcher(const launch_context& context, worker_body body) {
  return std::make_unique<thread_launcher>(context, std::move(body));
}

}  // namespace udppump::detail
