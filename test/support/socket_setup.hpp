#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <udppump/datagram_socket.hpp>
#include <utility>

#include "support/process.hpp"

[[noreturn]] inline void fail(const char* call) { throw std::system_error{errno, std::generic_category(), call}; }

/// A descriptor of the test's own. Closes it.
class descriptor {
 public:
  explicit descriptor(int fd) : fd_{fd} {
    if (fd_ < 0) fail("a descriptor of the test's own");
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  bool is_open() const { return ::fcntl(fd_, F_GETFD) >= 0; }

 private:
  int fd_;
};

inline int udp_descriptor(int family = AF_INET) { return ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0); }

/// A folder that is gone at the end, with all that is in it.
class folder {
 public:
  folder() : path_{testing::TempDir() + "datagram-socket-XXXXXX"} {
    if (::mkdtemp(path_.data()) == nullptr) fail("mkdtemp");
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  udppump::address socket(const std::string& name) const { return udppump::address::parse("unix:" + file(name)); }

 private:
  std::string path_;
};

/// What was thrown, with its whole text: a copy as std::system_error has that of std::system_error.
class thrown_error {
 public:
  explicit thrown_error(const std::system_error& thrown) : code_{thrown.code()}, text_{thrown.what()} {}
  const std::error_code& code() const noexcept { return code_; }
  const char* what() const noexcept { return text_.c_str(); }

 private:
  std::error_code code_;
  std::string text_;
};

/// The error that `make` throws. Whatever it opened is closed again.
template <class Make>
thrown_error refusal(Make make) {
  const std::size_t before = open_descriptors();
  try {
    make();
  } catch (const std::system_error& thrown) {
    EXPECT_EQ(open_descriptors(), before) << "open after: " << thrown.what();
    return thrown_error{thrown};
  }
  ADD_FAILURE() << "nothing was thrown";
  return thrown_error{std::system_error{std::error_code{}}};
}
inline thrown_error refused_bind(const udppump::address& local, const udppump::socket_options& options = {}) {
  return refusal([&] { static_cast<void>(udppump::datagram_socket::bind(local, options)); });
}
inline thrown_error refused_connect(const udppump::address& peer, const udppump::socket_options& options = {}) {
  return refusal([&] { static_cast<void>(udppump::datagram_socket::connect(peer, options)); });
}

inline int option_of(int fd, int level, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  if (::getsockopt(fd, level, option, &value, &size) != 0) return -errno;
  return value;
}
inline int option_of(const udppump::datagram_socket& socket, int level, int option) {
  return option_of(socket.fd(), level, option);
}
