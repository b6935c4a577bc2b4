/* A thread blocks in recvfrom(2), says through a socketpair that it has a datagram, and waits at a condition variable
   until the event loop has handled it. One for each process, until that ends. */
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#define PERL_NO_GET_CONTEXT
#include "EXTERN.h"
#include "perl.h"
#include "XSUB.h"

namespace {

struct {
  int socket, pair[2];
  pthread_t thread;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
  bool handled = true;
  ssize_t size;
  int error;
  sockaddr_storage from;
  socklen_t from_size;
  char buffer[65536];
} seed;

void* receive(void*) {
  for (;;) {
    seed.from_size = sizeof seed.from;
    seed.size = recvfrom(seed.socket, seed.buffer, sizeof seed.buffer, 0, reinterpret_cast<sockaddr*>(&seed.from), &seed.from_size);
    seed.error = seed.size < 0 ? errno : 0;
    pthread_mutex_lock(&seed.mutex);
    seed.handled = false;
    if (write(seed.pair[1], "", 1) != 1) return nullptr;
    while (!seed.handled) pthread_cond_wait(&seed.changed, &seed.mutex);
    pthread_mutex_unlock(&seed.mutex);
  }
}

}  // namespace

MODULE = Seed2006    PACKAGE = Seed2006

int
start(int socket)
  CODE:
    seed.socket = socket;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, seed.pair) != 0) croak("socketpair: %s", Strerror(errno));
    if (pthread_create(&seed.thread, nullptr, receive, nullptr) != 0) croak("pthread_create");
    RETVAL = seed.pair[0];
  OUTPUT:
    RETVAL

SV*
taken()
  CODE:
    {
      HV* const hash = newHV();
      (void)hv_stores(hash, "from", newSVpvn(reinterpret_cast<const char*>(&seed.from), seed.from_size));
      (void)hv_stores(hash, "buffer", newSVpvn(seed.buffer, seed.size < 0 ? 0 : seed.size));
      (void)hv_stores(hash, "len", newSViv(seed.size));
      (void)hv_stores(hash, "errno", newSViv(seed.error));
      RETVAL = newRV_noinc(reinterpret_cast<SV*>(hash));
    }
  OUTPUT:
    RETVAL

void
handled()
  CODE:
    pthread_mutex_lock(&seed.mutex);
    seed.handled = true;
    pthread_cond_signal(&seed.changed);
    pthread_mutex_unlock(&seed.mutex);
