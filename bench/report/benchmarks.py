"""What the page says and draws of each benchmark: data, found in its tables by their names.

Names of tables, rows and columns are regular expressions that must match all of a name. What is not there is left out:
a benchmark that is not listed gets its tables, and no plot.
"""

import dataclasses

# udppump's row in a table: the first of these that is there, else the best row that begins with "udppump".
UDPPUMP_ROWS = ("pool worker", "udppump-run", "udppump-run-epoll", "udppump-run-uring", "udppump-group-uring",
                "udppump-epoll", "udppump-uring", "udppump")
LOWER, HIGHER = "lower", "higher"


@dataclasses.dataclass(frozen=True)
class Compared:
    """Where udppump is compared with the others, so that the page names those that are better. Where `rows` has two
    groups, only rows are compared that have the second one in common, and the first is the contender's name."""

    table: str
    column: str
    better: str
    rows: str = "(.*)()"


@dataclasses.dataclass(frozen=True)
class Bars:
    """A bar for each row, from each table that matches."""

    table: str
    column: str
    label: str
    rows: str = ".*"
    better: str = LOWER
    mark: float | None = None  # a line at this value


@dataclasses.dataclass(frozen=True)
class Lines:
    """A line for each row. The numbers along the x axis are in the names of the columns; or, in the first group of
    the expression, in the titles of the tables; or, in the second group of `rows`, in the names of rows, and the first
    one is the line's name. In the last two cases `column` has the values."""

    table: str
    label: str
    x_label: str
    x: str = "columns"
    column: str = ".*"
    rows: str = ".*"
    in_steps: bool = False  # x evenly spaced, whatever the numbers
    log_x: int = 0  # base
    log_y: int = 0
    mark: float | None = None


@dataclasses.dataclass(frozen=True)
class Goal:
    text: str
    is_reached: object  # a function of the figure


def at_most(limit):
    return Goal(f"at most {limit:g}", lambda figure: figure <= limit)


def at_least(limit):
    return Goal(f"at least {limit:g}", lambda figure: figure >= limit)


def more_than(limit):
    return Goal(f"more than {limit:g}", lambda figure: figure > limit)


@dataclasses.dataclass(frozen=True)
class Asked:
    """A line of the summary for each table that matches. The figure is udppump's in `column`; divided by that of the
    row `over_row` or of the column `over_column`, if one is named. `beside`: rows to be shown as well, for
    comparison. In the question, {0} is the title's first group, {column} the column's name, and {label} what the
    second group of `rows` found, by which rows are told apart as in Compared."""

    table: str
    column: str
    question: str
    over_row: str | None = None
    over_column: str | None = None
    beside: tuple[str, ...] = ()
    row: str | None = None
    rows: str = "(.*)()"
    goal: Goal | None = None


@dataclasses.dataclass(frozen=True)
class Benchmark:
    compared: tuple[Compared, ...] = ()
    plots: tuple[Bars | Lines, ...] = ()
    asked: tuple[Asked, ...] = ()
    # (table, row, column): cells that may be empty; every other empty cell is an error
    may_be_empty: tuple[tuple[str, str, str], ...] = ()
    # tables that are folded away below their plots
    folded: str = ""


# Where all would be too many for one picture; the table has them.
CHIEF = (
    "recvfrom|recvmmsg|epoll|epoll-exclusive|reuseport-epoll|libevent|libuv|asio|uring-multishot|seed-2006|"
    "udppump-run.*"
)

# In the order of the page.
BENCHMARKS = {
    "drain": Benchmark(
        compared=(Compared("drain.*", "x recvfrom", LOWER),),
        plots=(Bars("drain", "x recvfrom", "CPU time a datagram, times that of a bare recvfrom loop", mark=1),),
        may_be_empty=(("drain", ".*", "instructions.*"),),  # without valgrind
        asked=(
            Asked("drain", "x recvfrom", "CPU time to take a datagram that waits, times a bare `recvfrom` loop's",
                  goal=at_most(1.02)),
            Asked("drain", "x recvfrom", "the same on libevent's loop", row="udppump-libevent", beside=("libevent",)),
        ) + tuple(
            Asked("(drain.*)", "ns/datagram", f"what `{name}` adds to that: CPU time, times that without ({{0}})",
                  row=f"udppump-run-{name}", over_row="udppump-run", goal=at_most(1.05))
            for name in ("client_limit", "client_share")
        ),
    ),
    "payload": Benchmark(
        compared=(Compared("payload, x recvfrom", ".* B", LOWER),),
        plots=(
            Lines("payload, ns/datagram", "CPU time", "bytes in each datagram", in_steps=True, log_y=10),
            Lines("payload, x recvfrom", "CPU time", "bytes in each datagram", in_steps=True, mark=1),
        ),
        asked=(
            Asked("payload, x recvfrom", "(64|1472|65507) B", "CPU time to take a datagram of {column} that waits, "
                  "times a bare `recvfrom` loop's"),
        ),
    ),
    "echo": Benchmark(
        compared=(
            Compared("echo, (capacity|without loss)", "thousands a second", HIGHER),
            Compared("echo, server CPU x recvfrom", ".*/s", LOWER),
        ),
        plots=(Bars("echo, (capacity|without loss)", "thousands a second", "thousands of answers a second",
                    better=HIGHER),),
        asked=tuple(
            Asked("echo, (capacity|without loss)", "thousands a second",
                  f"requests that one worker answers a second ({{0}}), times {name}'s", over_row=name.lower(),
                  goal=more_than(1))
            for name in ("libevent", "libuv", "Asio")
        ),
        may_be_empty=(("echo, server CPU.*", ".*", ".*/s"),),  # at a rate that the contender does not reach
    ),
    "wakeups": Benchmark(
        compared=(Compared("wakeups.*", "x recvfrom", LOWER), Compared("wakeups.*", "switches/datagram", LOWER)),
        plots=(
            Bars("wakeups(, k=8)?", "x recvfrom", "round trip, times that of workers blocked in recvfrom", mark=1),
            Bars("wakeups(, k=8)?", "switches/datagram", "context switches of all workers, a datagram", mark=1),
            Lines(r"wakeups, k=(\d+)", "context switches of all workers, a datagram", "idle workers", x="tables",
                  column="switches/datagram", log_x=2, log_y=10),
        ),
        asked=(
            Asked("wakeups(, k=8|)", "switches/datagram",
                  "context switches to wake one of 8 idle workers; 1 is the least", beside=("epoll", "libevent"),
                  goal=at_most(1.005)),
            Asked("wakeups, k=64", "switches/datagram", "the same of 64", beside=("epoll", "libevent"),
                  goal=at_most(1.005)),
            Asked("wakeups(, k=8|)", "x recvfrom", "the round trip through one of 8, times that of workers blocked in "
                  "`recvfrom`", beside=("epoll-exclusive", "libevent"), goal=at_most(1)),
            Asked("wakeups, k=(32|64)", "x recvfrom", "the same of {0}", beside=("epoll-exclusive", "libevent"),
                  goal=at_most(0.85)),
            Asked("wakeups(, k=8|)", "x recvfrom", "the same of 8 on libevent's loop", row="udppump-libevent-uring",
                  beside=("libevent",), goal=at_most(1.12)),
        ),
        may_be_empty=(("wakeups.*", ".*", "empty wake-ups"),),  # not every peer counts them
    ),
    "tail": Benchmark(
        compared=(Compared("tail, .*: p99 / ideal p99", r"\d+%", LOWER),),
        plots=(Lines("tail, .*k=8.*: p99 / ideal p99", "99th percentile", "load in % of what the workers can do",
                     log_y=10, mark=1),),
        asked=tuple(
            Asked("tail, ((?:exponential|bimodal), k=8, 64 flows): p99 / ideal p99", f"{load}%", f"99th percentile of the latency at {load}% load, "
                  "times the ideal queue's ({0})", beside=("recvfrom-blocked", "reuseport.*"), goal=at_most(limit))
            for load, limit in ((70, 1.03), (90, 1.08))
        ) + tuple(
            Asked("tail, (constant, k=8, 64 flows): p99 / ideal p99", f"{load}%", f"the same at {load}% ({{0}})",
                  beside=("recvfrom-blocked", "reuseport.*"), goal=at_most(1.1))
            for load in (70, 90)
        ) + tuple(
            Asked(r"tail, 90/10 of 0\.5 and 50 ms, k=8, 70% load", column,
                  f"with lanes, 90% of 0.5 ms and 10% of 50 ms, k=8, 70% load: {what}", row="udppump-lanes",
                  rows=f"(.*), ({of})", beside=beside, goal=at_most(limit))
            for of, column, what, beside, limit in (
                ("short", "p99 / ideal queue's", "99th percentile of the short requests, times the ideal queue's",
                 ("ideal lanes", "udppump-shared", "reuseport"), 0.15),
                ("all", "slowdown / ideal queue's", "99th percentile of the slowdown, times the ideal queue's",
                 ("ideal lanes", "udppump-shared", "reuseport"), 0.15),
                ("long", "p99 / ideal queue's", "99th percentile of the long requests, times the ideal queue's",
                 ("ideal lanes", "udppump-shared", "reuseport"), 1.4),
                ("short", "p99 / ideal lanes'", "99th percentile of the short requests, times the ideal lanes'", (), 1.1),
            )
        ),
        # Runs in which the machine held up the client are left out; how many, the table says.
        may_be_empty=(("tail.*", ".*", "(?!runs|left out).*"),),
        folded=".*",
    ),
    "flood": Benchmark(
        compared=(Compared("flood, .*thousands a second", "k=.*", HIGHER),),
        plots=(
            Lines("flood, .*thousands a second", "datagrams handled", "workers", rows=CHIEF, log_x=2),
            Lines("flood, .*ratio to k=1", "datagrams handled, times those of one worker", "workers", rows=CHIEF,
                  log_x=2, mark=1),
        ),
        asked=(
            Asked("flood, handler (0us), ratio to k=1", "k=8", "datagrams that 8 workers handle under a flood, times "
                  "those of one worker on the same processor; a trivial handler", goal=at_least(0.97),
                  beside=("recvfrom-blocked", "epoll", "reuseport-epoll")),
            Asked("flood, handler (?!0us)([^,]*), ratio to k=1", "k=8", "the same; handlers of {0}",
                  beside=("recvfrom-blocked", "epoll", "reuseport-epoll")),
        ),
        folded=".*(switches|a second).*",
    ),
    "overload": Benchmark(
        compared=(Compared("overload: goodput.*", r"[\d.]+x", HIGHER),),
        plots=(Lines("overload: goodput.*", "answers in time", "load, times what the workers can do"),),
        asked=tuple(
            Asked("overload: goodput.*", f"{times}x", f"answers in time at {times} times the load that the workers can "
                  "do, as a share of what they can do", row="udppump-max_age-0.75",
                  beside=("udppump-run-epoll", "recvfrom-blocked", "reuseport-epoll"), goal=at_least(least))
            for times, least in (("1.2", 0.95), ("2", 0.95), ("4", 0.93))
        ) + tuple(
            Asked("overload: goodput.*", f"{times}x", f"the same at {times} times of a Python program under `udppump "
                  "exec --max-wait`", row="exec-python-max-wait-0.5", beside=("exec-python",), goal=at_least(0.85))
            for times in ("1.2", "2", "4")
        ),
        may_be_empty=(("overload.*", ".*", ".*x"),),  # where the client could not send as fast as planned
    ),
    "clients": Benchmark(
        compared=(Compared("clients: honest.*", r"[\d.]+x", HIGHER),),
        plots=(Lines("clients: honest.*", "honest requests answered in time", "flood, times what the workers can do"),),
        asked=tuple(
            Asked("clients: honest.*", "10x", "requests of honest clients that are answered in time beside one that asks "
                  f"for ten times what the workers can do, with `{name}`", row=f"udppump-{name}", goal=at_least(0.98),
                  beside=("udppump-run-epoll", "recvfrom-blocked", "reuseport-epoll"))
            for name in ("client_limit", "client_share")
        ),
        may_be_empty=(("clients.*", ".*", ".*x"),),  # where the client could not send as fast as planned
    ),
    "idle": Benchmark(
        asked=(
            Asked("idle for (.*)", "CPU us", "microseconds of CPU time of a pump to which nobody sends, in {0}"),
        ),
    ),
    "scale": Benchmark(
        compared=(
            Compared("time", "(wake-up p50|CPU) us", LOWER, rows=r"(.*) x(\d+)"),
            Compared("memory.*", "heap served", LOWER, rows=r"(.*) x(\d+)"),
        ),
        plots=(
            Lines("time", "wake-up, median, us", "sockets in the process", x="rows", rows=r"(.*) x(\d+)",
                  column="wake-up p50 us", log_x=10, log_y=10),
            Lines("time", "making them and a datagram through each, ms", "sockets in the process", x="rows",
                  rows=r"(.*) x(\d+)", column="start ms", log_x=10, log_y=10),
            Lines("memory.*", "heap, after a datagram through each", "sockets in the process", x="rows",
                  rows=r"(.*) x(\d+)", column="heap served", log_x=10, log_y=10),
        ),
        may_be_empty=(("memory.*", r".* x\d{1,3}", "kernel"),),  # less than what the rest of the machine does
        folded=".*",
    ),
    "bulk": Benchmark(
        compared=(Compared("bulk.*", ".*ns.*", LOWER),),
        plots=(Bars("bulk.*", ".*ns.*", "ns a datagram"),),
    ),
    "pool": Benchmark(
        compared=(Compared("drain in a worker", "x recvfrom", LOWER),),
        plots=(
            Bars("drain in a worker", "x recvfrom", "CPU time a datagram, times that of a bare recvfrom loop", mark=1),
        ),
        asked=(
            Asked("drain in a worker", "x recvfrom", "CPU time to take a datagram that waits in a pool's worker, times "
                  "a bare `recvfrom` loop's", row="pool worker", beside=("pool worker, redeliver",)),
            Asked("reload of (.*)", "ms", "milliseconds to reload {0}", row="SIGHUP"),
        ),
    ),
    "perl": Benchmark(
        compared=(Compared("drain on .*", "x recv", LOWER),),
        plots=(Bars("drain on one processor", "ns/datagram", "CPU time a datagram, ns"),),
        asked=(
            Asked("drain on one processor", "x recv", "CPU time to take a datagram that waits in Perl, with an empty "
                  "callback, times a plain `recv` loop's that builds the same hash", row="udppump-event-lib",
                  beside=("event-lib",), goal=at_most(1.2)),
            Asked("drain on (one|any) processor", "seed-2006 / this", "the CPU time of the design of 2006 in Perl, times "
                  "ours; on {0} processor", row="udppump-event-lib", goal=at_least(30)),
            Asked("wakeups, k=8", "switches/datagram", "context switches to wake one of 8 idle Perl workers",
                  row="udppump-event-lib", beside=("event-lib", "seed-2006"), goal=at_most(1.05)),
        ),
    ),
    "dns": Benchmark(
        compared=(
            Compared("dns, busy", "questions/s", HIGHER, rows=r"(.*)-(\d+)"),
            Compared("dns, busy", "server CPU us/question", LOWER, rows=r"(.*)-(\d+)"),
            Compared("dns, light", "server CPU us/question", LOWER, rows=r"(.*)-(\d+)"),
            Compared("dns, light", "latency us", LOWER, rows=r"(.*)-(\d+)"),
        ),
        plots=(
            Bars("dns, busy", "questions/s", "questions answered a second", better=HIGHER),
            Bars("dns, busy", "server CPU us/question", "CPU time of the server a question, us"),
        ),
        may_be_empty=(("dns, .*", ".*", "x nsd.*"),),  # where NSD is not installed
        asked=(
            Asked("dns, busy", "x nsd", "DNS questions answered a second, times NSD's; {label} workers",
                  rows=r"(.*)-(\d+)", beside=("knot",), goal=at_least(1)),
        ) + tuple(
            Asked(f"dns, {when}", "server CPU us/question",
                  f"the server's CPU time a DNS question when {when}, times {name}'s; {{label}} workers",
                  over_row=name.lower(), rows=r"(.*)-(\d+)")
            for name in ("NSD", "Knot") for when in ("busy", "light")
        ),
    ),
}


def is_udppump(name):
    return name.startswith(("udppump", "pool worker"))
