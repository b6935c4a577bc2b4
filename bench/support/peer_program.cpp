#include "support/peer_program.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <stdexcept>

#include "load/quantity.hpp"
#include "support/contenders.hpp"

namespace bench {
namespace {

/// This worker's note among those of the benchmark that started it.
worker_note& inherited_note(std::size_t number) {
  const std::size_t size = (number + 1) * sizeof(worker_note);
  void* const shared = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, notes_fd_of_worker, 0);
  if (shared == MAP_FAILED) throw std::system_error{errno, std::generic_category(), "mmap"};
  return static_cast<worker_note*>(shared)[number];
}

}  // namespace

peer_handler::peer_handler(const std::string& what, worker_note& note, std::uint16_t worker) : note_{&note} {
  using udppump::load::service_mode;
  constexpr std::string_view spin = "spin:";
  if (what == "count") return;
  if (what == "echo") {
    kind_ = kind::echo;
  } else if (what == "work" || what == "work:spin") {
    kind_ = kind::work;
    service_.emplace(what == "work" ? service_mode::sleep : service_mode::spin, worker);
  } else if (what.starts_with(spin)) {
    kind_ = kind::spin;
    spin_ = udppump::load::parse_duration(what.substr(spin.size()));
  } else {
    throw std::invalid_argument{fmt::format("--handler {}: must be count, echo, spin:TIME, work or work:spin", what)};
  }
}

int peer_main(int argc, char** argv, const std::vector<serving>& ways) {
  return guarded(
      [&](int, char**) {
        CLI::App app{"One worker on a UDP socket, as the benchmarks start several of"};
        std::vector<std::string> names;
        for (const auto& way : ways) names.push_back(way.name);
        std::string as = names.front(), handler = "echo", address = "127.0.0.1:5300";
        std::optional<std::size_t> number;
        app.add_option("--as", as, "The way to serve")->check(CLI::IsMember(names))->capture_default_str();
        app.add_option("--handler", handler, "count, echo, spin:TIME, work or work:spin")->capture_default_str();
        app.add_option("--listen", address, "By hand: serve this address")->capture_default_str();
        app.add_option("--worker", number, "Serve the socket inherited as descriptor 3, as this worker");
        CLI11_PARSE(app, argc, argv);

        worker_note by_hand;
        worker_note& note = number ? inherited_note(*number) : by_hand;
        std::vector<udppump::datagram_socket> sockets;
        sockets.push_back(number ? udppump::datagram_socket::adopt(socket_fd_of_worker)
                                 : udppump::datagram_socket::bind(udppump::address::parse(address)));
        const auto way = std::ranges::find(ways, as, &serving::name);
        if (!number) fmt::print("{} on {}\n", as, sockets.front().local().to_string());
        note.ready = true;  // the benchmarks wait until it sleeps as well
        way->serve(sockets, peer_handler{handler, note, static_cast<std::uint16_t>(number.value_or(0))});
        return EXIT_SUCCESS;
      },
      argc, argv);
}

}  // namespace bench
