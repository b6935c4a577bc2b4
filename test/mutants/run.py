#!/usr/bin/env python3
"""Do the tests fail when the code is wrong? Puts the faults listed in FOLDER.mutants into a copy of the tree, one at a
time, builds what is needed, and runs the tests that should notice. README.md beside this file has the format.

Exit code: 0 if every fault was noticed or is argued to be equivalent, 1 if not, 2 if a rule or the tree is wrong."""

import argparse
import ctypes
import dataclasses
import fnmatch
import itertools
import json
import multiprocessing
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD_LIMIT = 900  # seconds for what one fault needs to be built
MEMORY_LIMIT = 4 << 30  # bytes: a fault may allocate without end
OUTPUT_LIMIT = 64 << 20
# What is freed, and what is new, holds nonsense (mallopt(3), M_PERTURB; the per-thread cache would leave it alone).
SPOILED = {"MALLOC_PERTURB_": "165", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}


class Wrong(Exception):
    """What is wrong with a rule or with the tree; ends everything."""


# --- the rules -------------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Run:
    """One run of tests: a program with a filter, or a script that ctest knows."""

    kind: str  # program or script
    name: str
    tests: str = "*"


@dataclasses.dataclass
class Fault:
    folder: str
    where: str  # FILE:LINE of the rule
    name: str
    what: str
    file: str
    runs: list
    equivalent: str = ""
    edits: list = dataclasses.field(default_factory=list)  # pairs of old and new text


def read_run(folder, text):
    words = text.split()
    if words[0] == "script" and len(words) == 2:
        return Run("script", words[1])
    if len(words) == 2:
        return Run("program", *words)
    return Run("program", folder + "-test", words[0])


class Reader:
    """Reads one list, line by line."""

    def __init__(self, path):
        self.folder, self.name = path.stem, path.name
        self.faults = []
        self.file, self.runs_of_file, self.chosen = None, [], False
        self.last = ""  # what the next line may go on with: "what", "equivalent", "-" or "+"
        for self.line, text in enumerate(path.read_text().splitlines(), 1):
            if text.strip() and not text.startswith("#"):
                self.take(text)
        for fault in self.faults:
            if not fault.edits:
                raise Wrong(f"{fault.where}: {fault.name} changes nothing")
            if not fault.runs:
                raise Wrong(f"{fault.where}: {fault.name} names no tests")

    def refuse(self, why):
        raise Wrong(f"{self.name}:{self.line}: {why}")

    def take(self, text):
        fault = self.faults[-1] if self.faults and self.file else None
        if match := re.fullmatch(r"file: (\S+)", text):
            self.file, self.runs_of_file, self.last = match[1], [], "file"
        elif not self.file:
            self.refuse("a list begins with \"file: PATH\"")
        elif match := re.fullmatch(r"tests: (\S+( \S+)?)", text):
            run = read_run(self.folder, match[1])
            if self.last in ("file", "tests of file"):
                self.runs_of_file.append(run)
                self.last = "tests of file"
            else:
                if not self.chosen:  # a fault's own tests stand in for those of its file
                    fault.runs, self.chosen = [], True
                fault.runs.append(run)
                self.last = "tests"
        elif match := re.fullmatch(r"\[([a-z0-9-]+)\] (.+)", text):
            where = f"{self.name}:{self.line}"
            self.faults.append(Fault(self.folder, where, match[1], match[2], self.file, list(self.runs_of_file)))
            self.last, self.chosen = "what", False
        elif self.last in ("", "file", "tests of file"):
            self.refuse(f"not understood before a fault's first line, [NAME] SENTENCE: {text}")
        elif match := re.fullmatch(r"equivalent: (.+)", text):
            fault.equivalent, self.last = match[1], "equivalent"
        elif text.startswith("  ") and self.last in ("what", "equivalent"):
            setattr(fault, self.last, f"{getattr(fault, self.last)} {text.strip()}")
        elif text[0] == "-" and text[1:2] in ("", " "):
            if self.last == "-":
                fault.edits[-1][0] += "\n" + text[2:]
            else:
                fault.edits.append([text[2:], ""])
            self.last = "-"
        elif text[0] == "+" and text[1:2] in ("", " ") and self.last in ("-", "+"):
            fault.edits[-1][1] += ("\n" if self.last == "+" else "") + text[2:]
            self.last = "+"
        else:
            self.refuse(f"not understood: {text}")


def all_rules():
    faults = [fault for path in sorted(SOURCE.glob("test/mutants/*.mutants")) for fault in Reader(path).faults]
    seen = {}
    for fault in faults:
        if fault.name in seen:
            raise Wrong(f"{fault.where}: {fault.name} is the name of {seen[fault.name]} as well")
        seen[fault.name] = fault.where
    return faults


def pattern_of(text):
    """Finds `text` however it is broken into lines and indented."""
    tokens = re.findall(r"\w+|[^\w\s]", text)
    out = ""
    for before, token in zip([""] + tokens, tokens):
        if before:
            both_words = re.match(r"\w", before) and re.match(r"\w", token)
            out += r"\s+" if both_words else r"\s*"
        out += re.escape(token)
    first = r"\b" if re.match(r"\w", tokens[0]) else ""
    final = r"\b" if re.match(r"\w", tokens[-1]) else ""
    return re.compile(first + out + final)


def mutated(fault, text):
    for old, new in fault.edits:
        found = list(pattern_of(old).finditer(text))
        if len(found) != 1:
            how = "is not in" if not found else f"is {len(found)} times in"
            raise Wrong(f"{fault.where}: stale rule {fault.name}: the text {how} {fault.file}:\n{old}")
        text = text[: found[0].start()] + new + text[found[0].end() :]
    return text


def matches(tests, name):
    """As GoogleTest's --gtest_filter."""
    positive, _, negative = tests.partition("-")
    hit = any(fnmatch.fnmatchcase(name, one) for one in (positive or "*").split(":"))
    return hit and not any(fnmatch.fnmatchcase(name, one) for one in negative.split(":") if one)


def check_run(fault, run, names, scripts):
    if run.kind == "script":
        # Those made in a loop have one part of their name from it.
        parts = run.name.split("-")
        stems = ["-".join(parts[:at]) for at in range(1, len(parts) + 1)] + parts[1:]
        if not any(re.search(rf"_script_test\({re.escape(one)}\b|\b{re.escape(one)}\b", scripts) for one in stems):
            raise Wrong(f"{fault.where}: {fault.name}: no test \"{run.name}\" in test/CMakeLists.txt")
        return
    if not run.name.endswith("-test") or not (SOURCE / "test" / run.name.removesuffix("-test")).is_dir():
        raise Wrong(f"{fault.where}: {fault.name}: no folder of test has the program \"{run.name}\"")
    for one in run.tests.partition("-")[0].split(":"):
        plain = re.sub(r"^[\w*]+/|/[\w*]+$", "", one)  # without the names of parameters
        if not any(fnmatch.fnmatchcase(name, plain) for name in names):
            raise Wrong(f"{fault.where}: {fault.name}: no test is named {one}")


def check(faults):
    """That every rule applies, and names tests that there are."""
    names = set()
    for path in SOURCE.glob("test/**/*.cpp"):
        for match in re.finditer(r"^(TEST|TEST_F|TEST_P|TYPED_TEST)\((\w+), *(\w+)\)", path.read_text(), re.M):
            names.add(f"{match[2]}.{match[3]}")
    scripts = (SOURCE / "test/CMakeLists.txt").read_text()
    wrong = []
    for fault in faults:
        try:
            path = SOURCE / fault.file
            if not path.is_file():
                raise Wrong(f"{fault.where}: stale rule {fault.name}: there is no {fault.file}")
            text = path.read_text()
            if mutated(fault, text) == text:
                raise Wrong(f"{fault.where}: {fault.name} changes nothing")
            for run in fault.runs:
                check_run(fault, run, names, scripts)
        except Wrong as error:
            wrong.append(str(error))
    if wrong:
        raise Wrong("\n".join(wrong))


# --- the copy of the tree --------------------------------------------------------------------------------------------
def copy_tree(to):
    """Makes `to` like the source; leaves alone what is the same, so that little is built anew."""
    wanted = set()
    for folder, folders, files in os.walk(SOURCE):
        here = pathlib.Path(folder)
        if here == SOURCE:
            folders[:] = [one for one in folders if one not in ("build", ".git")]
        folders[:] = [one for one in folders if one != "__pycache__"]
        for name in files:
            path = here / name
            copy = to / path.relative_to(SOURCE)
            wanted.add(copy)
            if copy.is_file() and copy.read_bytes() == path.read_bytes():
                if (copy.stat().st_mode ^ path.stat().st_mode) & 0o111:
                    shutil.copymode(path, copy)
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    for path in list(to.rglob("*")):
        if path.is_file() and path not in wanted:
            path.unlink()


class Tree:
    """The copy, and what is built of it."""

    def __init__(self, folder):
        self.source = folder / "tree"
        self.build = folder / "build"
        self.logs = folder / "log"
        self.logs.mkdir(parents=True, exist_ok=True)
        copy_tree(self.source)
        self.configure()
        self.scripts = None

    def configure(self):
        options = ["-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=-O1 -D_GLIBCXX_ASSERTIONS", "-DUDPPUMP_WERROR=OFF",
                   "-DUDPPUMP_BENCH=OFF"]
        if shutil.which("ccache"):
            options.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
        if shutil.which("mold"):
            options += [f"-DCMAKE_{kind}_LINKER_FLAGS=-fuse-ld=mold" for kind in ("EXE", "SHARED")]
        command = ["cmake", "-G", "Ninja", "-S", self.source, "-B", self.build, *options]
        with open(self.logs / "configure.txt", "w", encoding="utf-8") as log:
            if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode != 0:
                raise Wrong(f"cmake failed; see {log.name}")

    def make(self, targets, log, limit=BUILD_LIMIT):
        """Whether it could be built. The copies share what ccache has: they lie alike beside their builds."""
        environment = {**os.environ, "CCACHE_BASEDIR": str(self.source.parents[1]), "CCACHE_NOHASHDIR": "1",
                       "CCACHE_SLOPPINESS": "pch_defines,time_macros"}
        command = ["cmake", "--build", self.build, "--target", *targets]
        if "UDPPUMP_JOBS" in os.environ:
            command += ["--parallel", os.environ["UDPPUMP_JOBS"]]
        try:
            return subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, timeout=limit,
                                  env=environment, check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def script(self, name):
        """The command of a ctest entry, its environment, and the programs it needs."""
        if self.scripts is None:
            shown = subprocess.run(["ctest", "--test-dir", self.build, "--show-only=json-v1"], capture_output=True,
                                   check=True).stdout
            self.scripts = {test["name"]: test for test in json.loads(shown)["tests"]}
        if name not in self.scripts or "command" not in self.scripts[name]:
            raise Wrong(f"ctest has no \"{name}\" here")
        test = self.scripts[name]
        properties = {one["name"]: one["value"] for one in test.get("properties", [])}
        environment = dict(one.split("=", 1) for one in properties.get("ENVIRONMENT", []) if "=" in one)
        made = str(self.build) + "/"
        targets = [one.removeprefix(made) for one in test["command"] if one.startswith(made) and
                   not pathlib.Path(one).suffix]
        return test["command"], environment, targets

    def targets_of(self, run):
        return self.script(run.name)[2] if run.kind == "script" else [run.name]

    def command_of(self, run, tests):
        if run.kind == "script":
            return self.script(run.name)[:2]
        program = self.build / "test" / run.name
        return [str(program), f"--gtest_filter={tests}", "--gtest_color=no"], {}


# --- running ---------------------------------------------------------------------------------------------------------
def children():
    found = []
    for task in pathlib.Path("/proc/self/task").iterdir():
        found += [int(one) for one in (task / "children").read_text().split()]
    return found


def become_reaper():
    """What a test leaves behind becomes a child of this process (prctl(2))."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def end_strays():
    for _ in range(100):
        left = children()
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass


def limit():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT_LIMIT, OUTPUT_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def execute(command, environment, is_over, log):
    """The exit code; None if it was ended because `is_over`, a function of the seconds since its start, said so."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                               env={**os.environ, **SPOILED, **environment}, start_new_session=True, preexec_fn=limit)
    try:
        while True:
            try:
                return process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                if is_over(time.monotonic() - began):
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    return None
    finally:
        end_strays()


@dataclasses.dataclass
class Baseline:
    """What the tests do without a fault: seconds by name, and those that were skipped."""

    seconds: dict = dataclasses.field(default_factory=dict)
    skipped: set = dataclasses.field(default_factory=set)


def read_output(text):
    done = Baseline()
    for match in re.finditer(r"^\[ +(OK|SKIPPED) \] ([^\s,]+).*\((\d+) ms\)$", text, re.M):
        if match[1] == "OK":
            done.seconds[match[2]] = int(match[3]) / 1000
        else:
            done.skipped.add(match[2])
    return done


def measure(tree, faults):
    """Runs every test that any of the faults needs, without faults; they must pass."""
    needed = {}
    for fault in faults:
        for run in fault.runs:
            needed.setdefault((run.kind, run.name), set()).update(run.tests.partition("-")[0].split(":"))
    runs = [Run(*key, "*" if "*" in tests else ":".join(sorted(tests))) for key, tests in needed.items()]
    targets = sorted({target for run in runs for target in tree.targets_of(run)})
    print(f"building {' '.join(targets)}", flush=True)
    began = time.monotonic()
    with open(tree.logs / "build.txt", "w", encoding="utf-8") as log:
        for target in targets:
            if not tree.make([target], log, limit=3600):
                raise Wrong(f"{target} cannot be built without faults; see {log.name}")
    print(f"built in {time.monotonic() - began:.0f} s", flush=True)
    baselines = {}
    for run in runs:
        path = tree.logs / f"{run.name}.txt"
        for attempt in range(3):
            began = time.monotonic()
            with open(path, "w", encoding="utf-8") as log:
                code = execute(*tree.command_of(run, run.tests), lambda passed: passed > 600, log)
            if code in (0, 77):
                break
            print(f"{run.name}: failed without a fault{', tried again' if attempt < 2 else ''}", flush=True)
        else:
            raise Wrong(f"{run.name} fails without any fault (code {code}); see {path}")
        took = time.monotonic() - began
        done = read_output(path.read_text(errors="replace"))
        if run.kind == "script":
            done = Baseline({"*": took}) if code == 0 else Baseline(skipped={"*"})
        baselines[run.kind, run.name] = done
        print(f"{run.name}: passes without faults in {took:.1f} s", flush=True)
    return targets, baselines


@dataclasses.dataclass
class Verdict:
    fault: Fault
    outcome: str  # noticed, missed, equivalent, skipped, not built
    by: str = ""
    seconds: float = 0


def runs_here(fault, run, baselines):
    """Whether any of these tests is not skipped on this machine."""
    done = baselines[run.kind, run.name]
    if any(matches(run.tests, name) for name in done.seconds):
        return True
    if not any(matches(run.tests, name) for name in done.skipped):
        raise Wrong(f"{fault.where}: {fault.name}: no test of {run.name} is named {run.tests}")
    return False


def who_noticed(run, code, output):
    """The test that failed, from what the tests printed; nothing if none did."""
    running = re.findall(r"^\[ RUN +\] (\S+)", output, re.M)
    last = running[-1] if running else run.name
    failed = re.search(r"^\[  FAILED  \] ([^\s,]+)", output, re.M)
    if code is None:
        return f"{last} (does not end)"
    if code == 0 or (code == 77 and run.kind == "script"):
        return ""
    if code < 0:
        return f"{last} ({signal.Signals(-code).name})"
    return failed[1] if failed else run.name


class Patience:
    """How long a run may take: a test, or a script, that takes much longer than it does without a fault does not end."""

    def __init__(self, log, start, baseline):
        self.log, self.start, self.baseline = log, start, baseline
        self.test, self.since = "", 0

    def is_over(self, passed):
        with open(self.log, errors="replace", encoding="utf-8") as written:
            written.seek(self.start)
            running = re.findall(r"^\[ RUN +\] (\S+)", written.read(), re.M)
        if running and running[-1] != self.test:
            self.test, self.since = running[-1], passed
        usual = self.baseline.seconds.get(self.test or "*", 0)
        return passed - self.since > 10 + 5 * usual


def run_once(tree, run, tests, baseline, log):
    """Who noticed, if anybody did."""
    log.flush()
    start = os.path.getsize(log.name)
    command, environment = tree.command_of(run, tests)
    if run.kind == "program":
        command.append("--gtest_fail_fast")
    code = execute(command, environment, Patience(log.name, start, baseline).is_over, log)
    with open(log.name, errors="replace", encoding="utf-8") as written:
        written.seek(start)
        return who_noticed(run, code, written.read())


def without(tests, left_out):
    """The filter without some tests."""
    if not left_out:
        return tests
    return tests + (":" if "-" in tests else "-") + ":".join(left_out)


def try_to_notice(tree, run, baseline, log):
    """A test that fails once, and not again when it runs alone, failed for another reason, and is left out."""
    left_out = []
    while len(left_out) < 5:
        noticed = run_once(tree, run, without(run.tests, left_out), baseline, log)
        if not noticed or run.kind == "script":
            return noticed
        test = noticed.split(" (")[0]
        if any(run_once(tree, run, test, baseline, log) for _ in range(2)):
            return noticed
        left_out.append(test)
    return ""


def judge(tree, fault, baselines):
    runs = [run for run in fault.runs if runs_here(fault, run, baselines)]
    if not runs:
        return Verdict(fault, "skipped", "all its tests are skipped here")
    path = tree.source / fault.file
    original = path.read_text()
    log_path = tree.logs / f"{fault.name}.txt"
    began = time.monotonic()
    noticed = ""
    try:
        path.write_text(mutated(fault, original))
        with open(log_path, "w", encoding="utf-8") as log:
            targets = {target: None for run in runs for target in tree.targets_of(run)}
            if not tree.make(list(targets), log):
                return Verdict(fault, "not built", f"see {log_path}", time.monotonic() - began)
            for run in runs:
                noticed = try_to_notice(tree, run, baselines[run.kind, run.name], log)
                if noticed:
                    break
    finally:
        path.write_text(original)
    outcome = "noticed" if noticed else "equivalent" if fault.equivalent else "missed"
    return Verdict(fault, outcome, noticed or fault.equivalent, time.monotonic() - began)


def judge_in_copy(folder, targets, groups, baselines, verdicts):
    """Takes groups of faults until there are no more; a process of its own, so that strays are its own children."""
    become_reaper()
    try:
        tree = Tree(folder)
        with open(tree.logs / "build.txt", "w", encoding="utf-8") as log:
            tree.make(targets, log, limit=3600)
        while True:
            group = groups.get()
            if group is None:
                return
            for fault in group:
                verdicts.put(judge(tree, fault, baselines))
    except Exception as wrong:  # whatever it is: somebody waits for a verdict
        verdicts.put(wrong if isinstance(wrong, Wrong) else Wrong(repr(wrong)))


def judge_all(work, tree, targets, faults, baselines, jobs):
    """The verdicts, as they come. Faults of one file stay together: putting one in takes the one before it out."""
    if jobs <= 1:
        for fault in faults:
            yield judge(tree, fault, baselines)
        return
    groups, verdicts = multiprocessing.Queue(), multiprocessing.Queue()
    for _, group in itertools.groupby(faults, key=lambda fault: fault.file):
        groups.put(list(group))
    processes = []
    for number in range(1, jobs + 1):
        groups.put(None)
        processes.append(multiprocessing.Process(
            target=judge_in_copy, args=(work / str(number), targets, groups, baselines, verdicts)))
        processes[-1].start()
    for _ in faults:
        verdict = verdicts.get()
        if isinstance(verdict, Wrong):
            for process in processes:
                process.terminate()
            raise verdict
        yield verdict
    for process in processes:
        process.join()


# --- what is printed -------------------------------------------------------------------------------------------------
def table(verdicts):
    columns = ["folder", "faults", "noticed", "missed", "equivalent", "not run", "share"]
    rows = []
    folders = list(dict.fromkeys(one.fault.folder for one in verdicts))
    for folder in folders + (["all"] if len(folders) > 1 else []):
        mine = [one for one in verdicts if folder in ("all", one.fault.folder)]
        count = {kind: sum(one.outcome == kind for one in mine)
                 for kind in ("noticed", "missed", "equivalent", "skipped", "not built")}
        judged = count["noticed"] + count["missed"]
        share = f"{100 * count['noticed'] / judged:.0f}%" if judged else "-"
        rows.append([folder, len(mine), count["noticed"], count["missed"], count["equivalent"],
                     count["skipped"] + count["not built"], share])
    widths = [max(len(str(row[at])) for row in [columns] + rows) for at in range(len(columns))]
    for row in [columns] + rows:
        print("  ".join(str(cell).ljust(width) if at == 0 else str(cell).rjust(width)
                        for at, (cell, width) in enumerate(zip(row, widths))))


def report(verdicts):
    print()
    for outcome, title in (("missed", "Not noticed:"), ("not built", "Do not compile:"), ("skipped", "Not run:"),
                           ("equivalent", "Equivalent:")):
        some = [one for one in verdicts if one.outcome == outcome]
        if not some:
            continue
        print(title)
        for one in some:
            print(f"  {one.fault.folder}/{one.fault.name} ({one.fault.file}): {one.fault.what}")
            if one.by:
                print(f"      {one.by}")
        print()
    refuted = [one for one in verdicts if one.outcome == "noticed" and one.fault.equivalent]
    for one in refuted:
        print(f"{one.fault.where}: {one.fault.name} is said to be equivalent, but {one.by} notices it\n")
    table(verdicts)
    return any(one.outcome in ("missed", "not built") for one in verdicts) or bool(refuted)


def main():
    parser = argparse.ArgumentParser(prog="./dev mutants", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help="a fault, a folder, or a pattern such as 'dns-*'; may be given more than once")
    parser.add_argument("--list", action="store_true", help="the faults, without running anything")
    parser.add_argument("--check", action="store_true",
                        help="only look that every rule still applies and names tests that there are")
    parser.add_argument("--work", type=pathlib.Path, default=SOURCE / "build/mutants", metavar="DIR",
                        help="where the copy, its build and the logs are (default: build/mutants)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N",
                        help="so many faults at a time, each in its own copy")
    arguments = parser.parse_args()

    faults = all_rules()
    if arguments.only:
        asked = [one for text in arguments.only for one in text.split(",")]
        faults = [fault for fault in faults if any(fnmatch.fnmatchcase(name, one) for one in asked
                                                   for name in (fault.name, fault.folder))]
        if not faults:
            raise Wrong(f"no fault and no folder is named {' or '.join(asked)}")
    if arguments.list:
        for fault in faults:
            print(f"{fault.folder}/{fault.name} ({fault.file}): {fault.what}")
        return 0
    check(faults)
    if arguments.check:
        print(f"{len(faults)} faults can be put in")
        return 0

    began = time.monotonic()
    work = arguments.work.resolve()
    become_reaper()
    tree = Tree(work / "1")
    targets, baselines = measure(tree, faults)
    verdicts = []
    try:
        for verdict in judge_all(work, tree, targets, faults, baselines, arguments.jobs):
            verdicts.append(verdict)
            print(f"{len(verdicts):3}/{len(faults)} {verdict.outcome:10} {verdict.seconds:5.1f} s  "
                  f"{verdict.fault.folder}/{verdict.fault.name}  {verdict.by if verdict.outcome == 'noticed' else ''}",
                  flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    failed = report(verdicts)
    print(f"after {(time.monotonic() - began) / 60:.0f} min; what was built and said: {work}/*/log")
    return 1 if failed or len(verdicts) < len(faults) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Wrong as wrong:
        print(f"mutants: {wrong}", file=sys.stderr)
        sys.exit(2)
