#include "doctor/pool_facts.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>
#include <utility>

#include "socket/address_owner.hpp"
#include "socket/port_table.hpp"
#include "sys/sys_file.hpp"
#include "udppump/descriptor.hpp"
#include "udppump/printable.hpp"

namespace udppump::doctor {

namespace {

using detail::listed_socket;
using detail::table_line;

/// What the kernel tells of the UDP sockets in the pool's network namespace.
struct port_list {
  std::vector<table_line> lines = {};
  bool is_known = false, is_ours = false;
};

port_list read_ports(const file_tree& files, const process_facts& parent) {
  port_list list;
  const std::string folder = files.root() + "/proc/" + std::to_string(parent.pid) + "/net/";
  for (const char* const table : {"udp", "udp6"}) {
    auto lines = detail::read_udp_table(folder + table);
    if (!lines) continue;
    list.is_known = true;
    std::ranges::move(*lines, std::back_inserter(list.lines));
  }
  list.is_ours = !parent.network.empty() && parent.network == files.link("/proc/self/ns/net");
  return list;
}

/// Who else has a socket where this one is.
std::vector<std::string> strangers_of(const table_line& own, const port_list& list, std::span<const ino_t> known) {
  std::vector<listed_socket> listed;
  if (list.is_ours) {
    // Tells of interfaces, too.
    const std::uint16_t port = own.socket.local.port();
    listed = detail::udp_sockets_on({&port, 1});
  } else {
    for (const table_line& line : list.lines) listed.push_back(line.socket);
  }
  const auto self = std::find_if(listed.begin(), listed.end(),
                                 [&](const listed_socket& one) { return one.inode == own.socket.inode; });
  if (self == listed.end()) return {};
  const detail::bound_place place{self->local, self->device.value_or(0),
                                  self->local.is_ipv6() && self->takes_ipv4.value_or(true)};
  return detail::names_of(detail::sharers_of(place, listed, known));
}

void read_sockets(const file_tree& files, const pool_status& status, pool_facts& facts) {
  std::vector<ino_t> known = facts.parent->sockets.value_or(std::vector<ino_t>{});
  for (const socket_status& one : status.sockets) known.push_back(one.inode);
  const port_list list = read_ports(files, *facts.parent);
  if (!list.is_known) facts.hidden.push_back({"who has the port", "/proc/net/udp may not be read"});
  for (const socket_status& told : status.sockets) {
    socket_facts one;
    one.name = told.lane.empty() ? told.address : told.address + " (" + told.lane + ')';
    one.queued = told.queued;
    one.room = told.room;
    one.asked = told.buffer_asked;
    one.granted = told.buffer_granted;
    one.drops = told.drops;
    one.oldest_waits = told.oldest_waits;
    const auto line = std::find_if(list.lines.begin(), list.lines.end(),
                                   [&](const table_line& each) { return each.socket.inode == told.inode; });
    if (line != list.lines.end()) one.strangers = strangers_of(*line, list, known);
    facts.sockets.push_back(std::move(one));
  }
  if (!list.is_ours && !facts.parent->network.empty()) {
    const std::string pid = std::to_string(facts.pid);
    facts.hidden.push_back({"the network of pool " + pid,
                            "it is in a network namespace of its own, and what is said of the machine is not said of "
                            "that; nsenter -t " +
                                pid + " -n udppump doctor " + pid});
  }
}

/// The beginning of a file whose name the pool says, which need be no friend of who looks: of nothing that opening or
/// reading could wait for.
std::optional<std::string> read_named_file(const std::string& path) {
  const detail::descriptor file{sys::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY)};
  struct stat about {};
  if (!file || sys::status(file.fd(), about) < 0 || !S_ISREG(about.st_mode)) return {};
  std::array<char, 32> some;
  const ssize_t size = sys::read_at(file.fd(), some.data(), some.size(), 0);
  return size < 0 ? std::nullopt : std::optional{std::string{some.data(), static_cast<std::size_t>(size)}};
}

void read_pid_file(const file_tree& files, pool_facts& facts) {
  const auto named = option_value(facts.parent->arguments, "--pid-file");
  if (!named || named->empty()) return;
  facts.pid_file = printable(*named);
  const std::string path = named->front() == '/' ? *named : "/proc/" + std::to_string(facts.pid) + "/cwd/" + *named;
  facts.pid_file_content = read_named_file(files.root() + path);
  if (!facts.pid_file_content) facts.hidden.push_back({"the pid file " + facts.pid_file, "it may not be read"});
}

worker_facts read_worker(const file_tree& files, const worker_status& status, bool is_thread) {
  worker_facts one;
  one.number = status.number;
  one.pid = status.pid;
  one.state = status.state;
  one.uptime = status.uptime;
  one.handling_for = status.handling_for;
  if (status.traffic) one.taken = status.traffic->all.received;
  one.waiter_fallback = status.waiter_fallback;
  if (!is_thread) one.process = read_process(files, status.pid);
  return one;
}

}  // namespace

std::optional<std::string> option_value(const std::vector<std::string>& arguments, const std::string& option) {
  std::optional<std::string> value;
  for (std::size_t at = 1; at < arguments.size() && arguments[at] != "--"; ++at) {
    if (arguments[at] == option && at + 1 < arguments.size()) value = arguments[at + 1];
    if (arguments[at].starts_with(option + '=')) value = arguments[at].substr(option.size() + 1);
  }
  return value;
}

pool_facts read_pool(const file_tree& files, const pool_status& status) {
  pool_facts facts;
  facts.pid = status.parent;
  facts.name = status.name;
  facts.restarts = status.restarts;
  facts.hangs = status.hangs;
  if (status.traffic) {
    facts.expired = status.traffic->all.expired;
    facts.limited = status.traffic->all.limited;
  }
  if (status.redelivery) facts.poisoned = status.redelivery->poisoned;
  facts.workers_wanted = status.workers_wanted;
  const bool has_threads = status.model == worker_model::threads;
  for (const worker_status& one : status.workers) {
    facts.workers.push_back(read_worker(files, one, has_threads));
  }
  facts.parent = read_process(files, facts.pid);
  if (!facts.parent) return facts;
  read_sockets(files, status, facts);
  read_pid_file(files, facts);
  facts.group = read_groups(files, facts.pid);
  if (facts.group.unit.empty()) return facts;
  if (const auto told = ask_for_unit(facts.group.unit)) {
    facts.unit = parse_unit(*told);
  } else {
    facts.hidden.push_back({"the unit " + printable(facts.group.unit), "systemctl does not tell of it"});
  }
  return facts;
}

}  // namespace udppump::doctor
