"""Why a contender may be faster than udppump: by "BENCHMARK CONTENDER", else by the contender's name alone."""

BATCH = (
    "it takes datagrams that it will only handle later, and that no other worker can have meanwhile; udppump takes "
    "none before its handler is free"
)
LOOP = (
    "it leaves its sockets in the loop's epoll, which wakes every process that shares one; a pump arms its ring anew "
    "each time, for one worker only, counts, and keeps what it needs for that"
)

REASONS = {
    "recvfrom": "it is the reference, a loop around one system call: no event loop beside it, no budget, no "
    "statistics, nobody who could stop it",
    "recvfrom-blocked": "it is the reference: a process that sleeps in `recvfrom` is woken with its datagram in one "
    "system call, and can do nothing else",
    "recvfrom-beside-thread": "it is the bare loop in a process that has a second, sleeping thread, to measure the "
    "waiters that need one",
    "recvmsg": "it is a bare loop around `recvmsg` with room for control data, and nothing else",
    "recvmmsg": BATCH,
    "libuv-recvmmsg": BATCH,
    "uring-multishot": "the kernel puts datagrams into the worker's buffers before it asks for them, so it pays no "
    "system call for each; what lies there is lost to the other workers",
    "epoll": "it is a bare `epoll_wait` loop that serves one socket and nothing else",
    "epoll-exclusive": "it is a bare loop that sleeps in `epoll_wait` itself, exclusively. A pump cannot rely on "
    "that: on somebody else's event loop, exclusivity ends at the loop's own epoll",
    "reuseport-epoll": "each worker has a queue of its own, with a lock that no other worker wants; what that costs "
    "while others are idle is the subject of `tail`",
    "wakeups recvfrom-blocked": "it is the reference: a process that sleeps in `recvfrom` is woken with its datagram "
    "in one system call, where a pump makes three (arm and sleep, receive, find the queue empty), and can do nothing "
    "else",
    "scale epoll": "it is a bare loop that keeps nothing for a socket but its entry in one epoll, which wakes every "
    "process that shares the socket; a pump arms its ring anew each time, for one worker only, counts, and keeps what "
    "it needs for that",
    "scale libevent": LOOP,
    "scale libuv": LOOP,
    "perl recv": "it is the reference, a loop around one function: no event loop beside it, no budget, no statistics, "
    "nobody who could stop it",
    "dns nsd": "it spends half the time in user space (see below), names no address to answer from, and nothing "
    "looks after its queues",
    "dns knot": "its workers are threads with a socket each, and nothing looks after their queues; where its time goes "
    "has not been looked into",
    "pool recvfrom": "it is the reference, the bare loop, in the same pool's worker",
}
