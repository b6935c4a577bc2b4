#pragma once

#include <string>
#include <utility>

#include "pool/exclusive_library.hpp"
#include "pool/launcher.hpp"
#include "pool/program_outputs.hpp"

namespace udppump::detail {

/// Workers are executions of a program that knows nothing of this library.
class program_launcher : public launcher {
 public:
  /// `notify`: what programs find in NOTIFY_SOCKET; empty: nothing. `outputs`: where they write to as stderr; null: to
  /// this process's. `options`, `exclusive` and `outputs` outlive it.
  program_launcher(const launch_context& context, worker_program program, const program_options& options,
                   const exclusive_library& exclusive, std::string notify, program_outputs* outputs)
      : context_{context},
        program_{std::move(program)},
        options_{options},
        exclusive_{exclusive},
        notify_{std::move(notify)},
        outputs_{outputs} {}

  std::unique_ptr<running_worker> start(const assignment& what) override;
  bool keeps_pages() const noexcept override { return false; }

 private:
  /// Which of the pool's sockets the worker gets.
  std::vector<std::size_t> served_by(std::size_t number) const;
  /// What it finds its sockets by (sd_listen_fds(3)).
  std::vector<std::string> environment(std::size_t number) const;

  const launch_context& context_;
  const worker_program program_;
  const program_options& options_;
  const exclusive_library& exclusive_;
  const std::string notify_;
  program_outputs* const outputs_;
};

}  // namespace udppump::detail
