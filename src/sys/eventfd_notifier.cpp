#include "sys/eventfd_notifier.hpp"

#include <cerrno>

#include "sys/sys.hpp"
#include "sys/sys_aio.hpp"
#include "sys/sys_file.hpp"

namespace udppump::detail {

namespace {

constexpr unsigned room = 16;  // requests; each is complete when it has been submitted

bool has(int eventfd, short event) noexcept {
  pollfd one{.fd = eventfd, .events = event, .revents = 0};
  return sys::poll(&one, 1, 0) > 0 && (one.revents & event) != 0;
}

}  // namespace

eventfd_notifier::eventfd_notifier() noexcept {
  if (sys::aio_setup(room, context_) < 0) context_ = 0;
}

eventfd_notifier::~eventfd_notifier() {
  if (context_ != 0) static_cast<void>(sys::aio_destroy(context_));
}

/// Asks whether it can be read or written: one of them is so, so that the request is complete at once.
bool eventfd_notifier::submit(int eventfd) const noexcept {
  iocb request{};
  request.aio_lio_opcode = IOCB_CMD_POLL;  // Linux 4.18
  request.aio_fildes = static_cast<std::uint32_t>(eventfd);
  request.aio_buf = POLLIN | POLLOUT | POLLERR;
  request.aio_flags = IOCB_FLAG_RESFD;
  request.aio_resfd = static_cast<std::uint32_t>(eventfd);
  long done = sys::aio_submit(context_, request);
  io_event complete[room];
  static_cast<void>(sys::aio_take(context_, complete, room));
  if (done == -EAGAIN) done = sys::aio_submit(context_, request);
  return done == 1;
}

void eventfd_notifier::notify(int eventfd) const noexcept {
  const int saved = errno;  // a signal handler must leave errno alone
  if (context_ == 0 || !submit(eventfd)) {
    const std::uint64_t one = 1;
    if (has(eventfd, POLLOUT)) static_cast<void>(sys::write(eventfd, &one, sizeof one));
  }
  errno = saved;
}

void eventfd_notifier::clear(int eventfd) noexcept {
  std::uint64_t waste = 0;
  const ssize_t done = sys::read_at_once(eventfd, &waste, sizeof waste);
  const bool is_refused = done == -EOPNOTSUPP || done == -ENOSYS || done == -EINVAL;
  if (is_refused && has(eventfd, POLLIN)) static_cast<void>(sys::read(eventfd, &waste, sizeof waste));
}

}  // namespace udppump::detail
