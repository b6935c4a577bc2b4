#include "pool/successor.hpp"

#include "pool/predecessor.hpp"
#include "sys/failure.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_user.hpp"

namespace udppump::detail {

using kind = take_over_message::kind;

successor::successor(descriptor connection) noexcept
    : connection_{std::move(connection), take_over_connection::end::old_parents}, who_{peer::of(connection_.fd())} {}

successor::successor(descriptor connection, pid_t executed, bool gets_listener) noexcept
    : connection_{std::move(connection), take_over_connection::end::old_parents},
      executed_{executed},
      gets_listener_{gets_listener},
      who_{.pid = executed, .user = sys::effective_user()} {}

void successor::set(phase next) noexcept {
  phase_ = next;
  since_ = clock::now();
}

take_over_message successor::hear() const {
  take_over_message said = connection_.hear();
  const bool is_said = said.what != kind::nothing && said.what != kind::hung_up;
  if (!is_said || executed_ <= 0 || said.from.pid == executed_) return said;
  return {.what = kind::unknown,
          .why = said.from.called() + " of user " + std::to_string(said.from.user) +
                 " speaks in its place; a program that SIGUSR2 starts must make its pool in the process that was "
                 "started, and not in a child"};
}

std::string successor::listen() {
  if (phase_ == phase::parting) {
    say_no(why_);
    return {};
  }
  const take_over_message said = hear();
  if (said.what == kind::nothing) return {};
  if (said.what == kind::hung_up) {
    const bool had_sockets = phase_ == phase::has;
    set(phase::gone);
    return had_sockets ? "it ended before its workers served" : "it hung up";
  }
  if (said.from.pid > 0) who_ = said.from;
  if (said.what == kind::hello && phase_ == phase::silent) {
    stays_ = said.stays;
    asks_pid_file_ = said.asks_pid_file;
    set(phase::waits);
    return {};
  }
  if (said.what == kind::ready && phase_ == phase::has) {
    hear_ready(said);
    return phase_ == phase::heir ? "" : "it ended as soon as its workers served";
  }
  const std::string why = said.what == kind::other_version
                              ? "it speaks " + said.why + ", and this pool version 1; restart instead"
                          : said.why.empty() ? "what it said makes no sense here"
                                             : said.why;
  // What it has said besides counts for nothing.
  connection_.stop_receiving();
  say_no(why);
  return why;
}

/// Its word holds, unless it has ended since.
void successor::hear_ready(const take_over_message& said) {
  if (said.from.pid > 0) who_ = said.from;
  set(stays_ && connection_.is_hung_up() ? phase::gone : phase::heir);
}

std::string successor::hand(const handed_sockets& sockets) {
  if (sockets.size() > most_passed) {
    const std::string why =
        "more than " + std::to_string(most_passed) + " sockets cannot be handed over; restart instead";
    say_no(why);
    return why;
  }
  handed_sockets given = sockets;
  if (!gets_listener_) given.listener = -1;
  if (const int passed = connection_.hand_on(given, asks_pid_file_); passed < 0) {
    const std::string why = "the sockets cannot be passed (" + code_of(passed).message() + "); " + cure_of(passed);
    say_no(why);
    return why;
  }
  set(phase::has);
  return {};
}

void successor::give_up(const std::string& why) {
  if (phase_ == phase::has) {
    connection_.stop_receiving();
    // What is in the queue now is all that there will ever be.
    for (take_over_message said = hear(); said.what != kind::nothing && said.what != kind::hung_up; said = hear()) {
      if (said.what == kind::ready) return hear_ready(said);
    }
  }
  say_no(why);
}

void successor::leave_sockets() noexcept {
  connection_.stop_receiving();
  set(phase::gone);
}

std::string successor::note_end() noexcept {
  connection_.stop_receiving();
  const bool is_news = phase_ != phase::gone && phase_ != phase::parting;
  const bool had_sockets = phase_ == phase::has;
  set(phase::gone);
  if (!is_news) return {};
  return had_sockets ? "it ended before its workers served" : "it ended";
}

void successor::say_no(const std::string& why) {
  const int said = connection_.say_no(why);
  // Who has no sockets need not hear it.
  const bool is_over = said >= 0 || said == -EPIPE || said == -ECONNRESET || said == -EMSGSIZE;
  if (!is_over && (phase_ == phase::has || phase_ == phase::parting)) {
    why_ = why;
    return set(phase::parting);
  }
  set(phase::gone);
}

descriptor listen_for_successors(const service_path& path) {
  descriptor listener = make_take_over_socket(SOCK_NONBLOCK);
  // It stays its maker's: whom a root that starts a pool becomes need not connect, nor may.
  const int bound = path.bind(listener, 0600);
  if (bound == -EADDRINUSE) {
    fail(bound, path.what() + (path.is_in_the_way()
                                   ? ": what is there is no socket; remove it or choose another path"
                                   : ": another start is under way there; wait for it, or choose another path"));
  }
  if (bound < 0) fail(bound, path.what(), "its folder must be writable: change its mode, or choose another");
  constexpr int backlog = 64;
  if (const int listens = sys::listen(listener.fd(), backlog); listens < 0) {
    static_cast<void>(path.remove_socket());
    fail_with_cure(listens, path.what());
  }
  return listener;
}

bool may_take_over(const peer& who, int listener) noexcept {
  const uid_t nobody = static_cast<uid_t>(-1);
  return who.user != nobody && (who.user == 0 || who.user == peer::of(listener).user);
}

}  // namespace udppump::detail
