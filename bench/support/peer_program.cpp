#include "support/peer_program.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <stdexcept>

#include "load/plan/quantity.hpp"
#include "support/contenders.hpp"

namespace bench {
namespace {

/// The workers' notes, which the benchmark that started this program reads.
worker_note* inherited_notes(std::size_t workers) {
  void* const shared =
      mmap(nullptr, workers * sizeof(worker_note), PROT_READ | PROT_WRITE, MAP_SHARED, notes_fd_of_worker, 0);
  if (shared == MAP_FAILED) throw std::system_error{errno, std::generic_category(), "mmap"};
  return static_cast<worker_note*>(shared);
}

/// Becomes `workers` processes, which end with this one; the number of the calling one.
std::size_t fork_into(std::size_t workers) {
  const pid_t parent = getpid();
  for (std::size_t number = 1; number < workers; ++number) {
    if (check_call(fork(), "fork") != 0) continue;
    check_call(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl");
    if (getppid() != parent) _exit(1);
    return number;
  }
  return 0;
}

constexpr const char* handlers =
    "count, echo, spin:TIME, work, work:spin, work:max_age:TIME, work:client_limit:RATE or work:client_share";

std::invalid_argument unknown(const std::string& handler) {
  return std::invalid_argument{fmt::format("--handler {}: must be {}", handler, handlers)};
}

}  // namespace

peer_handler::peer_handler(const std::string& what) {
  using udppump::load::service_mode;
  constexpr std::string_view spin = "spin:", max_age = "work:max_age:", client_limit = "work:client_limit:";
  if (what == "count") return;
  if (what == "echo") {
    kind_ = kind::echo;
  } else if (what == "work" || what.starts_with("work:")) {
    kind_ = kind::work;
    mode_ = what == "work:spin" ? service_mode::spin : service_mode::sleep;
    if (what.starts_with(max_age)) {
      without_.max_age = udppump::load::parse_duration(what.substr(max_age.size()));
    } else if (what.starts_with(client_limit)) {
      without_.client_limit = udppump::client_rate{.rate = std::stod(what.substr(client_limit.size()))};
    } else if (what == "work:client_share") {
      without_.client_share = udppump::client_share::equal();
    } else if (what != "work" && what != "work:spin") {
      throw unknown(what);
    }
  } else if (what.starts_with(spin)) {
    kind_ = kind::spin;
    spin_ = udppump::load::parse_duration(what.substr(spin.size()));
  } else {
    throw unknown(what);
  }
}

void peer_handler::begin(worker_note& note, std::uint16_t worker) {
  note_ = &note;
  if (!mode_) return;
  service_.emplace(*mode_, worker);
  udppump::load::ask_for_exact_timers();
}

int peer_main(int argc, char** argv, const std::vector<serving>& ways) {
  return guarded(
      [&](int, char**) {
        CLI::App app{"One worker on a UDP socket, as the benchmarks start several of"};
        std::vector<std::string> names;
        for (const auto& way : ways) names.push_back(way.name);
        std::string as = names.front(), handler = "echo", address = "127.0.0.1:5300";
        std::size_t workers = 1, inherited = 0;
        app.add_option("--as", as, "The way to serve")->check(CLI::IsMember(names))->capture_default_str();
        app.add_option("--handler", handler, handlers)->capture_default_str();
        app.add_option("--listen", address, "By hand: serve this address")->capture_default_str();
        app.add_option("--workers", workers, "Processes that share the socket")
            ->check(CLI::PositiveNumber)
            ->capture_default_str();
        app.add_option("--inherited", inherited, "Serve so many sockets of the benchmark that started this program");
        CLI11_PARSE(app, argc, argv);

        std::vector<worker_note> by_hand(inherited == 0 ? workers : 0);
        worker_note* const notes = inherited == 0 ? by_hand.data() : inherited_notes(workers);
        std::vector<udppump::datagram_socket> sockets;
        if (inherited == 0) sockets.push_back(udppump::datagram_socket::bind(udppump::address::parse(address)));
        for (std::size_t i = 0; i < inherited; ++i) {
          sockets.push_back(udppump::datagram_socket::adopt(first_socket_fd_of_worker + static_cast<int>(i)));
        }
        const auto way = std::ranges::find(ways, as, &serving::name);
        if (inherited == 0) {
          fmt::print("{} on {}\n", as, sockets.front().local().to_string());
          std::fflush(stdout);
        }
        peer_handler serves{handler};
        const std::size_t number = fork_into(workers);
        worker_note& note = notes[number];
        note.process = getpid();  // the benchmark waits until it sleeps as well
        serves.begin(note, static_cast<std::uint16_t>(number));
        way->serve(std::span{sockets}.subspan(number % sockets.size(), 1), serves);
        return EXIT_SUCCESS;
      },
      argc, argv);
}

}  // namespace bench
