// An authoritative DNS server: a pool of processes answers on the same sockets, each taking a query only when it is
// idle.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <udppump/printable.hpp>
#include <udppump/worker_pool.hpp>
#include <vector>

#include "dns_answer_cache.hpp"

namespace {

constexpr int bad_start = 2;
constexpr std::size_t longest_query = 4096;  // no query is anywhere near; one that is gets cut, and so is malformed

struct settings {
  std::string zone;
  std::vector<std::string> bind;
  unsigned workers = 4;
  std::string waiter = "auto";
};

/// Takes what the pool has to tell: trouble goes to stderr, the start to stdout, and who answered how much is kept.
class journal {
 public:
  journal(std::size_t records, udppump::waiter_kind waiter) : records_{records}, waiter_{waiter} {}

  void watch(const udppump::worker_pool& pool) { pool_ = &pool; }

  void note(const udppump::pool_event& event) {
    if (event.name == "serving") return say_where();
    if (event.name == "worker-died" || event.name == "worker-ended") count(event);
    if (event.severity > udppump::pool_event::level::warning && event.name != "reloaded") return;
    std::fprintf(stderr, "dns_server: %s\n", event.text.c_str());
  }

  void sum_up() const {
    for (const auto& [number, seen] : seen_) {
      std::printf("worker %s (pid %s): %llu queries\n", number.c_str(), seen.pid.c_str(),
                  static_cast<unsigned long long>(seen.queries));
    }
  }

 private:
  void say_where() const {
    for (const udppump::datagram_socket& socket : pool_->sockets()) {
      std::printf("listening on %s\n", socket.local().to_string().c_str());
    }
    std::printf("%zu records, %zu workers, waiting by %s\n", records_, pool_->workers(),
                std::string{udppump::to_string(waiter_)}.c_str());
    std::fflush(stdout);
  }

  void count(const udppump::pool_event& event) {
    std::map<std::string_view, std::string> fields(event.fields.begin(), event.fields.end());
    totals& worker = seen_[fields["worker"]];  // those that had its number before included
    worker.pid = fields["pid"];
    worker.queries += std::stoull(fields["served"]);
  }

  struct totals {
    std::string pid;
    std::uint64_t queries = 0;
  };
  const std::size_t records_;
  const udppump::waiter_kind waiter_;
  const udppump::worker_pool* pool_ = nullptr;
  std::map<std::string, totals> seen_;
};

/// A worker: loads the zone, so that a reload has it as it is now, and answers until it is told to stop.
void answer_queries(udppump::worker& self, const std::string& zone_file) {
  const dns_zone zone = dns_zone::load(zone_file);
  dns_answer_cache answers{zone};
  const auto answer = [&answers](udppump::datagram& query) {
    if (const auto packet = answers.answer(query.payload)) query.reply(*packet);
  };
  // Resolvers may ask from port 53; what another DNS server answers is known by its QR bit, and is not answered.
  auto unanswered = udppump::source_filter::against_loops();
  unanswered.own_port = false;
  if (const auto error = self.serve(answer, {.receive_limit = longest_query, .ignore_from = unanswered}))
    throw std::system_error{error, "serving"};
}

int run(const settings& chosen) {
  // Both are asked here for the sake of a clear message; each worker has its own.
  const std::size_t records = dns_zone::load(chosen.zone).record_count();
  const auto asked = *udppump::parse_waiter_kind(chosen.waiter);
  const auto waiter = udppump::run_waiter(asked);
  if (!waiter.fallback.empty()) std::fprintf(stderr, "dns_server: %s\n", waiter.fallback.c_str());

  journal told{records, waiter.kind};
  udppump::worker_pool pool{{.bind = chosen.bind,
                             .socket = {.path_mtu = udppump::path_mtu_discovery::omit},  // docs/large-answers.md
                             .workers = chosen.workers,
                             .waiter = asked,
                             .redeliver = udppump::redelivery{.largest = longest_query},
                             .log = [&told](const udppump::pool_event& event) { told.note(event); }}};
  told.watch(pool);
  const int result = pool.run([&chosen](udppump::worker& self) { answer_queries(self, chosen.zone); });
  told.sum_up();
  return result;
}

/// Why `text` is no number of workers. CLI11 itself takes " 5", and 0x10 for 16.
std::string whole_number(const std::string& text) {
  const bool digits = text.find_first_not_of("0123456789") == text.npos;
  const bool fits = digits && !text.empty() && text.size() <= 4 && text.front() != '0' && std::stoi(text) <= 1024;
  return fits ? "" : '"' + text + "\" is no whole number from 1 to 1024";
}

}  // namespace

int main(int argc, char** argv) {
  settings chosen;
  CLI::App app{
      "Answers DNS queries (UDP) from a zone file, with many workers on the same sockets.\n"
      "Workers that die are replaced, and what they held is given to another.\n"
      "SIGHUP reads the zone anew. SIGUSR2 has a new execution of this program take over. SIGTERM and SIGINT end it:\n"
      "it then prints how many queries each worker answered.\n"};
  app.footer(
      "Exit code: 0 after SIGTERM or SIGINT, 2 if it could not start, 4 if its workers kept dying,\n"
      "5 if workers had to be killed at the end.\n"
      "Example: dns_server --zone example.com.zone --bind 127.0.0.1:5300 [::1]:5300 --workers 4");
  app.add_option("--zone", chosen.zone, "The zone, in master file format (RFC 1035, 5)")->required()->type_name("FILE");
  app.add_option("--bind", chosen.bind,
                 "Where to listen: 192.0.2.1:53, [2001:db8::1]:53, [::]:53; port 0 takes a free one")
      ->required()
      ->type_name("ADDRESS");
  app.add_option("--workers", chosen.workers, "Processes that answer, 1 to 1024")
      ->check(CLI::Validator{whole_number, ""})
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--waiter", chosen.waiter, "How an idle worker waits: auto, epoll, uring, thread or poll")
      ->check(CLI::IsMember({"auto", "epoll", "uring", "thread", "poll"}).description(""))
      ->type_name("KIND")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
    return run(chosen);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "dns_server: %s; see dns_server --help\n", udppump::printable(error.what()).c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "dns_server: %s\n", udppump::printable(error.what()).c_str());
  }
  return bad_start;
}
