#!/usr/bin/env python3
"""How many workers wake up for one datagram, and do they stop in good order?

usage: wakeups.py [--workers N] [--datagrams N] [--mode off|auto]... [--json] UDPPUMP [--] COMMAND...

Runs COMMAND under `udppump exec` with --exclusive off, and then with auto, or as --mode says. Sends datagrams one by
one, each when all workers are idle again, and looks who has slept since (voluntary context switches of all threads, in
/proc/PID/task/*/status): how many workers woke up, and how often their threads did, which is more with a runtime that
has threads of its own. One a datagram is ideal, and N is a herd. Then stops udppump by SIGTERM: exit code 0 is good
order, and 5 says that workers were killed.
"""
import argparse, json, os, re, signal, socket, subprocess, tempfile, time


def descendants(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as file:
            for child in file.read().split():
                found += [int(child), *descendants(int(child))]
    return found


def switches(pids):
    """For each process."""
    counts = []
    for pid in pids:
        counts.append(0)
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{task}/status") as file:
                    counts[-1] += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", file.read(), re.M)[1])
            except FileNotFoundError:
                pass  # a thread that has ended
    return counts


def await_true(what, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = what()
        if value:
            return value
        time.sleep(0.02)
    raise SystemExit("it took too long")


def settled(pids):
    """Waits until they do nothing any more, as far as their runtimes ever do nothing; their switches."""
    seen, since = sum(switches(pids)), time.monotonic()
    deadline = since + 5
    while time.monotonic() - since < 0.5 and time.monotonic() < deadline:
        time.sleep(0.05)
        now = sum(switches(pids))
        if now > seen + len(pids):  # a runtime's housekeeping is no start
            seen, since = now, time.monotonic()
    return switches(pids)


def answered(client, tries=300):
    for number in range(tries):
        try:
            client.send(b"%d" % number)
            return client.recv(65535)
        except OSError:
            continue
    raise SystemExit("no answer")


def measure(options, mode):
    with tempfile.TemporaryFile("w+") as log:
        command = [options.udppump, "exec", "--bind", "127.0.0.1:0", "--workers", str(options.workers)]
        pump = subprocess.Popen([*command, "--exclusive", mode, "--", *options.command], stderr=log)
        try:
            def port():
                if pump.poll() is not None:
                    log.seek(0)
                    raise SystemExit("udppump ended:\n" + log.read())
                log.seek(0)
                told = re.search(r" serves? .*:(\d+)", log.read())
                return told and int(told[1])

            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.settimeout(0.2)
            client.connect(("127.0.0.1", await_true(port)))
            answered(client)
            workers = descendants(pump.pid)
            settled(workers)
            while True:  # what was asked twice is answered twice
                try:
                    client.recv(65535)
                except OSError:
                    break
            began = before = settled(workers)
            lost = woken = 0
            for number in range(options.datagrams):
                client.send(b"%d" % number)
                try:
                    client.recv(65535)
                except OSError:
                    lost += 1
                time.sleep(0.005)  # those that woke in vain sleep again
                now = switches(workers)
                woken += sum(after > earlier for earlier, after in zip(before, now))
                before = now
            counted = sum(before) - sum(began)
            pump.send_signal(signal.SIGTERM)
            code = pump.wait(60)
            log.seek(0)
            return {"exclusive": mode, "woken": round(woken / options.datagrams, 2),
                    "switches": round(counted / options.datagrams, 2),
                    "lost": lost, "code": code, "preloaded": " is preloaded" in log.read()}
        finally:
            if pump.poll() is None:
                pump.kill()
                pump.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--datagrams", type=int, default=200)
    parser.add_argument("--mode", action="append")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("udppump")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    for mode in options.mode or ["off", "auto"]:
        result = measure(options, mode)
        if options.json:
            print(json.dumps(result), flush=True)
        else:
            print("--exclusive {exclusive}: {woken} workers woken and {switches} switches a datagram, {lost} lost, exit "
                  "code {code}".format(**result), flush=True)


main()
