#include "pool/thread_launcher.hpp"

#include <atomic>
#include <thread>

#include "pool/run_body.hpp"
#include "pool/worker_setup.hpp"
#include "sys/failure.hpp"
#include "sys/sys_process.hpp"
#include "sys/wake_signal.hpp"

namespace udppump::detail {

namespace {

/// What a thread works with; owned by it and by its thread_worker, whichever is longer there.
struct thread_work {
  thread_work(const launch_context& pool, const assignment& assigned, std::shared_ptr<const worker_body> runs,
              std::shared_ptr<const void> keeps)
      : context{pool}, what{assigned}, body{std::move(runs)}, alive{std::move(keeps)} {}

  const launch_context& context;
  const assignment what;
  const std::shared_ptr<const worker_body> body;
  const std::shared_ptr<const void> alive;  // what context names
  worker_end end = {};
  std::atomic<pid_t> thread{0};
  std::atomic<bool> over{false};

  void run() {
    thread = sys::thread_id();
    context.shared.page(what.page).pid = thread.load();
    try {
      set_up_worker(context.options, what.number, true);
      end = run_body(context, what, *body);
    } catch (const std::exception& refused) {
      end = {.by_signal = false, .code = status_no_setup, .words = refused.what(), .hopeless = true};
    }
    over.store(true, std::memory_order_release);
    notify(context.shared.parent_signal());
  }
};

class thread_worker : public running_worker {
 public:
  explicit thread_worker(std::shared_ptr<thread_work> work)
      : work_{std::move(work)}, thread_{[shared = work_] { shared->run(); }} {}
  ~thread_worker() override {
    if (!thread_.joinable()) return;
    thread_worker::ask_to_stop();
    thread_.join();
  }
  thread_worker(const thread_worker&) = delete;
  thread_worker& operator=(const thread_worker&) = delete;

  std::optional<worker_end> ended() override {
    if (!work_->over.load(std::memory_order_acquire) || !thread_.joinable()) return {};
    thread_.join();
    return work_->end;
  }
  pid_t pid() const noexcept override { return work_->thread.load(); }
  void ask_to_stop() noexcept override {
    board& shared = work_->context.shared;
    shared.page(work_->what.page).orders.fetch_or(order_stop, std::memory_order_release);
    shared.notify(work_->what.page);
  }
  bool kill() noexcept override { return false; }
  bool abort() noexcept override { return false; }
  std::string_view cannot_be_killed_as() const noexcept override { return "is a thread"; }
  void abandon() noexcept override {
    if (thread_.joinable()) thread_.detach();
  }

 private:
  const std::shared_ptr<thread_work> work_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<running_worker> thread_launcher::start(const assignment& what) {
  static_cast<void>(context_.shared.page_signal(what.page));
  try {
    return std::make_unique<thread_worker>(std::make_shared<thread_work>(context_, what, body_, alive_));
  } catch (const std::system_error& refused) {
    fail(refused.code().value(), "thread",
         "raise the limit on threads (ulimit -u, systemd's TasksMax=), or ask for fewer workers");
  }
}

}  // namespace udppump::detail
