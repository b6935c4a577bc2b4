"""A worker on whose epoll what `udppump exec` preloads is tried. The kernel tells in /proc/self/fdinfo what is asked of
it. Writes "all is well" or what is wrong into the file that it is given."""
import ctypes, errno, os, re, select, socket, subprocess, sys, threading, time, traceback
from select import EPOLLET, EPOLLEXCLUSIVE, EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLPRI, EPOLLRDHUP

ALWAYS = select.EPOLLERR | select.EPOLLHUP
passed = 3


def asked(epoll, fd):
    """What the kernel has for this descriptor; None: nothing."""
    with open(f"/proc/self/fdinfo/{epoll.fileno()}") as file:
        found = re.search(rf"^tfd: +{fd} events: +([0-9a-f]+)", file.read(), re.M)
    return found and int(found[1], 16) & ~ALWAYS


def error_of(call, *arguments):
    try:
        call(*arguments)
    except OSError as failed:
        return failed.errno
    return 0


def adding_and_modifying(fd=passed):
    with select.epoll() as epoll:
        epoll.register(fd, EPOLLIN)
        assert asked(epoll, fd) == EPOLLIN | EPOLLEXCLUSIVE
        for events in EPOLLIN | EPOLLOUT, 0, EPOLLIN | EPOLLET, EPOLLOUT, EPOLLIN:
            epoll.modify(fd, events)
            assert asked(epoll, fd) == events | EPOLLEXCLUSIVE, hex(events)
        assert error_of(epoll.register, fd, EPOLLIN) == errno.EEXIST
        epoll.unregister(fd)
        assert asked(epoll, fd) is None
        assert error_of(epoll.unregister, fd) == errno.ENOENT
        assert error_of(epoll.modify, fd, EPOLLIN) == errno.ENOENT


def bits_that_do_not_go_with_it():
    with select.epoll() as epoll:
        epoll.register(passed, EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET | EPOLLOUT)
        assert asked(epoll, passed) == EPOLLIN | EPOLLOUT | EPOLLET | EPOLLEXCLUSIVE
        epoll.modify(passed, EPOLLIN | EPOLLONESHOT)
        assert asked(epoll, passed) == EPOLLIN | EPOLLONESHOT
        epoll.modify(passed, EPOLLIN | EPOLLONESHOT)
    with select.epoll() as epoll:
        epoll.register(passed, EPOLLRDHUP)
        assert asked(epoll, passed) == EPOLLRDHUP


def other_descriptors():
    ends = os.pipe()
    own, stream = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
    with select.epoll() as epoll:
        for fd in own.fileno(), stream.fileno(), ends[0]:
            epoll.register(fd, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT)
            assert asked(epoll, fd) == EPOLLIN | EPOLLRDHUP | EPOLLONESHOT
            epoll.modify(fd, EPOLLIN)
            assert asked(epoll, fd) == EPOLLIN
            epoll.unregister(fd)
    os.close(ends[0])
    os.close(ends[1])


def duplicates_and_reuse():
    copy = os.dup(passed)
    adding_and_modifying(copy)
    for fd in 0, *range(3, 3 + int(os.environ["LISTEN_FDS"])):
        adding_and_modifying(fd)
    with socket.socket(type=socket.SOCK_DGRAM) as own, select.epoll() as epoll:
        os.dup2(own.fileno(), copy)  # the number is another socket's now
        epoll.register(copy, EPOLLIN)
        assert asked(epoll, copy) == EPOLLIN
    os.close(copy)


def misuse():
    libc = ctypes.CDLL(None, use_errno=True)

    def told(*arguments):
        ctypes.set_errno(7)
        return libc.epoll_ctl(*arguments), ctypes.get_errno()

    event = (ctypes.c_uint32 * 4)(EPOLLIN, 1, 2, 3)
    with select.epoll() as epoll, socket.socket() as own:
        at = epoll.fileno()
        for operation in 1, 2, 3:
            assert told(at, operation, 999, event) == (-1, errno.EBADF)
            assert told(999, operation, passed, event) == (-1, errno.EBADF)
            assert told(own.fileno(), operation, passed, event) == (-1, errno.EINVAL)
            assert told(at, operation, at, event) == (-1, errno.EINVAL)
        assert told(at, 1, passed, None) == (-1, errno.EFAULT)
        assert told(at, 9, passed, event) == (-1, errno.EINVAL)
        assert told(at, 1, passed, event) == (0, 7)
        assert told(at, 3, passed, event) == (0, 7)
        assert list(event) == [EPOLLIN, 1, 2, 3]
        assert told(at, 3, passed, None) == (-1, errno.EFAULT)
        assert told(at, 2, passed, None) == (0, 7)


def its_own_exclusive():
    with select.epoll() as epoll:
        epoll.register(passed, EPOLLIN | EPOLLEXCLUSIVE)
        assert asked(epoll, passed) == EPOLLIN | EPOLLEXCLUSIVE
        assert error_of(epoll.modify, passed, EPOLLIN | EPOLLEXCLUSIVE) == errno.EINVAL


def filled():
    """Something waits in the socket until the end of this process."""
    name = socket.socket(fileno=os.dup(passed)).getsockname()
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(b"x", name)


def nested_and_waiting():
    with select.epoll() as inner, select.epoll() as outer:
        inner.register(passed, EPOLLIN)
        outer.register(inner.fileno(), EPOLLIN)
        assert outer.poll(10) and inner.poll(10) == [(passed, EPOLLIN)]
        inner.modify(passed, EPOLLIN | EPOLLET)
        assert outer.poll(10) and inner.poll(10) == [(passed, EPOLLIN)]  # modifying tells anew
        inner.modify(passed, EPOLLIN | EPOLLET)
        assert inner.poll(10) == [(passed, EPOLLIN)] and inner.poll(0) == []


def threads_and_forks():
    stop, wrong = threading.Event(), []
    with select.epoll() as epoll:
        epoll.register(passed, EPOLLIN)

        def modifies():  # never fails, as it is always there
            for number in range(10**9):
                if stop.is_set():
                    return
                try:
                    epoll.modify(passed, EPOLLIN | (EPOLLOUT if number % 2 else 0))
                except OSError as failed:
                    wrong.append(failed)
                    return

        def waits():  # always sees what is in the queue
            while not stop.is_set():
                if not epoll.poll(10):
                    wrong.append("what waits was not seen")
                    return

        threads = [threading.Thread(target=each) for each in (modifies, modifies, modifies, waits)]
        for each in threads:
            each.start()
        for _ in range(50):  # in the child nobody has the lock, whoever had it here
            child = os.fork()
            if child == 0:
                try:
                    with select.epoll() as own:
                        own.register(passed, EPOLLIN)
                        own.modify(passed, EPOLLIN | EPOLLOUT)
                        os._exit(0 if asked(own, passed) == EPOLLIN | EPOLLOUT | EPOLLEXCLUSIVE else 1)
                finally:
                    os._exit(2)
            deadline = time.monotonic() + 30
            ended = (0, 0)
            while ended[0] == 0 and time.monotonic() < deadline:
                ended = os.waitpid(child, os.WNOHANG)
                time.sleep(0.001)
            if ended != (child, 0):
                wrong.append(f"a child ended as {ended}")
                os.kill(child, 9)
                break
        stop.set()
        for each in threads:
            each.join()
        assert not wrong, wrong
        assert asked(epoll, passed) & EPOLLEXCLUSIVE

    added = []  # of threads that add, one succeeds
    with select.epoll() as epoll:
        for _ in range(200):
            gate = threading.Barrier(3)

            def adds():
                gate.wait()
                added.append(error_of(epoll.register, passed, EPOLLIN))

            threads = [threading.Thread(target=adds) for _ in range(3)]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
            assert sorted(added) == [0, errno.EEXIST, errno.EEXIST], added
            added.clear()
            epoll.unregister(passed)


def what_it_starts():
    if sys.argv[2:] == ["as-a-child"]:
        assert "UDPPUMP_EXCLUSIVE" not in os.environ, os.environ
        assert "libudppump_exclusive" not in os.environ.get("LD_PRELOAD", ""), os.environ
        return
    mine = os.environ["LD_PRELOAD"]
    library = mine.split(":")[-1]
    assert library.endswith("/libudppump_exclusive.so") and "UDPPUMP_EXCLUSIVE" in os.environ

    def environment(**more):
        out = subprocess.run(["env"], env={**os.environ, **more}, capture_output=True, check=True)
        assert out.stderr == b"", out.stderr
        return dict(line.split("=", 1) for line in out.stdout.decode().splitlines())

    before = mine[: -len(library)].strip(":")
    seen = environment()
    assert "UDPPUMP_EXCLUSIVE" not in seen and seen.get("LD_PRELOAD", "") == before, seen
    for given, left in {f"libm.so.6:{library}": "libm.so.6", f"{library}:libm.so.6": "libm.so.6", library: None,
                        f"libm.so.6 {library} libdl.so.2": "libm.so.6:libdl.so.2"}.items():
        assert environment(LD_PRELOAD=given).get("LD_PRELOAD") == left, given
    # What a shell starts has what the shell has.
    out = subprocess.run(["sh", "-c", "env; true"], capture_output=True, check=True).stdout.decode()
    assert "UDPPUMP_EXCLUSIVE" not in out and "libudppump_exclusive" not in out, out
    # A list that makes no sense is none.
    for sockets in "", "x", "1,2,x", "," * 5, "1," * 3000, "9" * 100:
        environment(UDPPUMP_EXCLUSIVE=sockets)


def main():
    for case in (adding_and_modifying, bits_that_do_not_go_with_it, other_descriptors, duplicates_and_reuse, misuse,
                 its_own_exclusive, filled, nested_and_waiting, threads_and_forks, what_it_starts):
        try:
            case()
        except BaseException:
            return f"{case.__name__}: {traceback.format_exc()}"
    return "all is well"


said = main()
with open(sys.argv[1] + ".new", "w") as file:
    file.write(said + "\n")
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(600)
