#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "udppump/client_limit.hpp"
#include "udppump/client_share.hpp"
#include "udppump/datagram_socket.hpp"
#include "udppump/export.hpp"
#include "udppump/lanes.hpp"
#include "udppump/resource_limit.hpp"
#include "udppump/waiter.hpp"

namespace udppump {

/// What a worker is. Processes keep each other's crashes apart; threads share the program's memory.
enum class worker_model : std::uint8_t { processes, threads };

/// Something the pool has to tell: a worker died, a reload began. One line for people, fields for machines.
struct pool_event {
  /// As syslog numbers them (syslog(3)).
  enum class level : std::uint8_t { error = 3, warning = 4, notice = 5, info = 6 };
  level severity = level::info;
  /// Which kind of event, such as "worker-died": stable, in lower case.
  std::string_view name;
  /// For people: one line, which says all that the fields do. Whatever it is made of, it is UTF-8 and commands no
  /// terminal: the rest is written as \xNN, in the fields too. It marks a worker's own account (docs/security.md).
  std::string text;
  std::vector<std::pair<std::string_view, std::string>> fields = {};
  /// When it was. It may be logged later, as the pool's log keeps lines back of which there are many.
  std::chrono::system_clock::time_point time = std::chrono::system_clock::now();
};

/// The user that the pool becomes once its sockets are bound; requires root. A text that is both a name and a number is
/// read as the name. An empty text is refused, and one that could mean two users (docs/security.md).
struct privileges {
  /// Name or number; root only by its name. Not set: the user stays the same. If it is set, the environment gets the
  /// user's HOME, USER, LOGNAME and SHELL, and what a login put there is removed. No capabilities are left, and by
  /// default no way to gain any; the session keyring is empty; a terminal can only be written to, as descriptors 1
  /// and 2. Other processes of that user, such as workers, cannot read or trace the parent (docs/security.md).
  std::optional<std::string> user = {};
  /// Name or number. Not set: the user's own group.
  std::optional<std::string> group = {};
  /// Supplementary groups, names or numbers. Not set: those that the user is a member of.
  std::optional<std::vector<std::string>> groups = {};
  /// PR_SET_NO_NEW_PRIVS: no program that a worker starts can gain any, by a set-user-ID bit for example (prctl(2)).
  /// Not set: on if `user` is set.
  std::optional<bool> no_new_privileges = {};
};

/// How workers that die are replaced.
struct restart_policy {
  /// A worker that lived this long, or finished this many datagrams, counts as healthy: it is replaced at once, but not
  /// sooner than first_delay after its start.
  std::chrono::milliseconds healthy_after = std::chrono::seconds{1};
  std::uint64_t healthy_after_datagrams = 100;
  /// If workers live shorter: the time before the first is replaced, doubled for each further one in a row, up to the
  /// longest.
  std::chrono::milliseconds first_delay = std::chrono::milliseconds{20};
  std::chrono::milliseconds longest_delay = std::chrono::seconds{5};
  /// A worker cannot be kept alive if it has died this many times in a row before it was healthy, and served no
  /// datagram. The pool ends if that holds for all workers (with take_over, until all serve: for one). Otherwise the
  /// others serve on, and the pool tries again after pauses that are doubled up to a minute.
  unsigned crash_limit = 8;
};

/// A worker's datagram is kept in memory that outlives the worker. If the worker dies in the handler, the datagram is
/// given to another. So a datagram is handled at least once, and again if a worker died after the answer and before its
/// handler returned. Only while the handler runs: for what a ticket holds, nothing is kept.
struct redelivery {
  /// A datagram is given to another worker at most so many times. If that one dies of it too, the datagram is poisoned:
  /// counted and dropped.
  unsigned most = 2;
  /// Largest payload in bytes that a worker's pumps can have; so much memory is kept twice for each of 2 x workers. At
  /// most 1 MiB.
  std::size_t largest = 65'535;
  /// Poisoned datagrams are appended to this file, a line each: time, addresses, and the payload in hexadecimal. Empty:
  /// they are only counted. It is made with mode 0600, and must be a file, with one name, in a folder that no other
  /// user may write to (docs/security.md).
  std::string poison_file = {};
};

/// A sender whose datagrams were in work when workers died is not served for a while. IPv4 senders are told apart by
/// host, IPv6 ones by the first 64 bits of it (link-local: the last 64), Unix ones by path or name; those without one
/// are never put in quarantine. Nothing proves a source address: who can forge one, and knows a datagram that kills
/// workers, has that address locked out. And a worker that was taken over can name any address, and die.
struct sender_quarantine {
  /// After this many deaths, each at most `time` after the one before, the sender's datagrams are dropped. At least 1.
  unsigned deaths = 3;
  /// How long they are dropped, from the last death on.
  std::chrono::milliseconds time = std::chrono::minutes{10};
};

/// Why a pool cannot have this name, and what helps, as the rest of a sentence about it; empty if it can.
UDPPUMP_EXPORT std::string why_no_pool_name(std::string_view name);

/// No time may be negative; one above a year counts as a year.
struct pool_options {
  /// Where to listen: written addresses as address::parse() reads them, each with an optional name before it for
  /// LISTEN_FDNAMES ("dns=:53"). A port alone is for IPv6 and IPv4, or for IPv4 if that is all there is. What a service
  /// manager passed (sd_listen_fds(3)) comes first, and is enough.
  std::vector<std::string> bind = {};
  /// Datagram sockets that this process has open already, by descriptor: the pool serves duplicates of them, beside
  /// what is in `bind`. Not with take_over or reexecute, whose new processes open their own.
  std::vector<int> adopt = {};
  /// What the pool is called, for `udppump stat NAME` and its kin: 1 to 63 printable characters without white space or
  /// '/', and not a number, which would be a process id. Several pools may have the same one. Empty: the name of the
  /// program's file.
  std::string name = {};
  /// A group, by name or number, whose members may look at the pool as its user and root may (pool_status). Each look
  /// is at the memory itself, which they get for reading; the pool is asked once. Not set: nobody else
  /// (docs/security.md).
  std::optional<std::string> status_group = {};
  /// Options of the sockets in `bind`, and of those that were passed or adopted.
  socket_options socket = {};
  /// Several queues behind each port, so that short requests do not wait behind long ones; all addresses must be of
  /// UDP. Empty: one queue. Workers have a socket for each lane of each address, the lanes of an address one after
  /// another. A socket that was passed or adopted becomes that of the last lane, which is refused if this process may
  /// not bind others beside it. A take-over keeps the lanes, so a start with others is refused.
  std::vector<lane> lanes = {};
  /// 0: one for each core this process may use (usable_cores()). At most 4096.
  std::size_t workers = 0;
  /// How many there may be once worker_pool::request_scale() or a signal asks for more; the memory that the pool shares
  /// with them has room for so many. 0: four times `workers`, or 64 if that is more. At most 4096.
  std::size_t max_workers = 0;
  worker_model model = worker_model::processes;
  /// How the workers' pumps wait.
  waiter_kind waiter = waiter_kind::automatic;
  privileges become = {};
  restart_policy restart = {};
  std::optional<redelivery> redeliver = {};
  /// Requires redeliver: else the pool does not know of which datagram a worker died.
  std::optional<sender_quarantine> quarantine = {};
  /// pump_options::max_age for all pumps in the workers' groups that do not set their own. 0: none. Programs that a
  /// pool runs receive by themselves; for them there is program_options::max_wait.
  std::chrono::nanoseconds max_age{0};

  /// pump_options::client_limit for all pumps in the workers' groups that do not set their own; the workers hold each
  /// client to it together. A take-over begins anew. Not for programs that a pool runs, which receive by themselves,
  /// and not with reexecute, whose workers share no memory that this program made.
  udppump::client_limit client_limit = {};
  /// pump_options::client_share for all pumps in the workers' groups that do not set their own: of each socket, and
  /// each lane, the workers share what they serve between its clients. Where client_limit cannot be, it cannot either.
  udppump::client_share client_share = {};

  /// Workers that are told to stop finish what they hold; after this time they are killed. A thread cannot be killed:
  /// run() then returns pool_result::killed while it still runs, and the process should end without waiting for it.
  std::chrono::milliseconds stop_timeout = std::chrono::seconds{10};
  /// A pool that is told to stop first serves what waits in its sockets' queues: its workers go on until all queues
  /// have been seen empty at once, or for this time; then they are told to stop. Being told to stop once more ends it.
  /// Not if another process serves on (take_over), or a service manager keeps the sockets. 0: it stops at once. Whether
  /// or not it is set, the log says what was left in the queues.
  std::chrono::milliseconds drain{0};
  /// A worker whose handler has not returned after this time hangs: that is logged, and it gets SIGABRT, so that there
  /// is a core dump if the system keeps one, and SIGKILL five seconds later. Then it is replaced; with redeliver, what
  /// it held is given to another. Of threads it is only logged, as they cannot be ended. 0: handlers may take for ever.
  std::chrono::milliseconds handler_timeout{0};
  /// A worker that has finished so many datagrams, has lived so long, or has so many bytes of memory, is replaced as in
  /// a reload, one after the other. Memory is the proportional set size of the process and of all that it has started,
  /// or their own pages if that may not be read. 0: no limit. Memory only of processes.
  std::uint64_t max_requests = 0;
  std::chrono::milliseconds max_lifetime{0};
  std::size_t max_memory = 0;
  /// Each worker's own limits are lower than those by a share that is drawn from 0 to so many percent, so that not all
  /// are due at once. At most 90.
  unsigned max_jitter = 10;
  /// A new worker that has not begun to serve so long after its start is killed.
  std::chrono::milliseconds start_timeout = std::chrono::seconds{30};
  /// Workers are new executions of this program's file rather than forks, so that a reload has new code: each comes by
  /// main() to the same pool, which makes it a worker there. Processes only.
  bool reexecute = false;
  /// Which of the program's open descriptors above 2 workers that are forks keep, beside the pool's own. Not set: all,
  /// as a body may need them. Programs and new executions get only the pool's.
  std::optional<std::vector<int>> keep_open = {};
  /// Processes that a worker started, and that live when it ends, are ended too. Those in the worker's session get
  /// SIGTERM, and SIGKILL after stop_timeout; those that left the session get SIGKILL at once. The parent adopts all
  /// processes that descend from it (PR_SET_CHILD_SUBREAPER), and takes each for such a one: so only for programs that
  /// start no other processes. Requires /proc. Processes only.
  bool end_orphans = false;
  /// Files that start a reload when they are written or replaced.
  std::vector<std::string> reload_on_change = {};
  /// A reload replaces so many workers at a time, so that up to so many more than `workers` run meanwhile; `workers` at
  /// most. 0: an eighth of them, but at least one.
  std::size_t reload_width = 0;
  /// In a reload, a new worker proves itself when it has served this long, or has finished
  /// restart.healthy_after_datagrams; only then the one that it replaces is told to stop. If it dies before, the reload
  /// is given up, and the workers that served before serve on. Not set: restart.healthy_after if a reload may bring
  /// other code (programs, reexecute), else 0: a worker that serves is enough.
  std::optional<std::chrono::milliseconds> prove_for = {};
  /// A Unix socket's path: a second start with the same path takes the sockets over from the first, which then ends.
  /// Order and names are those in the `bind` of the second; sockets that it does not name are closed. It must be
  /// started by the same user or by root, and by root if root started the first. No other user may be allowed to write
  /// to the folder of the path (docs/security.md). Empty: only SIGUSR2 starts a take-over. If a pool
  /// that root started became another user, this program's file should be readable to root alone (chmod 711), or what
  /// SIGUSR2 starts has no path, as a worker could take it.
  std::string take_over = {};
  /// A file that has the parent's process id, and a line feed, while all workers serve. It is removed in the end, or
  /// emptied where the parent may not remove it any more. A pool that lives keeps it locked: another with the same file
  /// is refused, unless it takes over from that one. Mode 0600, as whoever can open the file could keep it locked.
  /// Empty: none.
  std::string pid_file = {};

  /// Worker i runs on the i-th of the cores that this process may use.
  bool pin = false;
  /// Nice level of the workers, -20 to 19.
  std::optional<int> nice = {};
  std::vector<resource_limit> limits = {};

  /// Where a process of its own tells Prometheus of the pool, over HTTP (udppump-metrics(1)): "127.0.0.1:9153"; a port
  /// alone, ":9153", is of 127.0.0.1. It has the pool's memory, which it can only read, and none of its sockets or
  /// rights; it is started again if it ends, and ends with the parent. Empty: none.
  std::string metrics = {};
  /// The program `udppump` which that process executes; looked up in PATH if it has no slash.
  std::string metrics_program = "udppump";

  /// Called in the parent, on the thread of run(), which does nothing else meanwhile: it should not wait for anybody,
  /// as a log_writer does not. Without it, one writes the events to stderr as lines. What workers' pumps meet
  /// while receiving, and no pump_options::on_error hears, comes here as well: events "receive-error", "icmp-error",
  /// "control-truncated", "interface" and "pump-ended", of each at most one in ten seconds, with how many there were
  /// (an interface that goes and comes is told at once, four times in a row at most).
  /// ICMP errors are told if socket_options::icmp_errors asks for them. Programs that a pool runs receive by
  /// themselves: what they meet is theirs to tell, but for an "interface", which the parent follows for them. Once a
  /// minute at most for each socket, "behind" tells that what is taken from it has waited for half a second and more;
  /// and for the pool, "expired" how many datagrams max_age has dropped, "limited" how many client_limit and
  /// client_share have.
  std::function<void(const pool_event&)> log = {};
};

}  // namespace udppump
