#!/usr/bin/env python3
"""The page of the benchmarks (bench/report), from made-up results: goals, who was better and why, what is missing or
malformed, what has to be escaped. And docs/benchmarks.md is what the results beside it say.

usage: report-test.py SOURCE [unittest's options]
"""

import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

SOURCE = pathlib.Path(sys.argv.pop(1)) if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent
DROP = object()


def spread(median):
    return {"median": median, "lower": median * 0.99, "upper": median * 1.01}


def table(title, columns, rows, precision=3):
    """`rows`: the cells of each name; a figure becomes one with quartiles."""
    return {
        "title": title,
        "columns": [{"name": name, "precision": precision} for name in columns],
        "rows": [
            {"name": name, "cells": [spread(cell) if isinstance(cell, float) else cell for cell in cells]}
            for name, cells in rows.items()
        ],
    }


def drain(**rows):
    """A result of `drain`, of which only the interesting column is given."""
    return table("drain", ["x recvfrom"], {name.replace("_", "-"): [cell] for name, cell in rows.items()})


class Report(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name)
        self.docs = self.work / "docs"

    def result(self, benchmark, *tables, **changes):
        """Writes a result, and gives the name of its file."""
        written = {
            "benchmark": benchmark, "title": f"{benchmark}: a title", "method": "By\nguessing.", "quick": False,
            "revision": "0123456789ab", "began": "2026-01-02T03:04:05Z", "seconds": 7.0,
            "machine": {"processors": 2, "model": "model", "kernel": "Linux 6.18", "rmem_max": "212992",
                        "load": "0.1 0.2 0.3", "build": "Release", "compiler": "g++ 12.2.0"},
            "run": ["3 repetitions"], "left_out": [], "tables": list(tables),
        } | changes
        path = self.work / f"{benchmark}.json"
        path.write_text(json.dumps({key: value for key, value in written.items() if value is not DROP}))
        return path

    def report(self, *arguments, expected=0, env=None):
        """The page; and what the generator said, in self.said."""
        done = subprocess.run([sys.executable, SOURCE / "bench/report/report.py", *arguments], text=True,
                              capture_output=True, env=env, timeout=120)
        self.said = done.stderr
        self.assertEqual(done.returncode, expected, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        page = self.docs / "benchmarks.md"
        return page.read_text() if page.exists() else ""

    def page(self, *tables, benchmark="drain", expected=0, **changes):
        return self.report(self.docs, self.result(benchmark, *tables, **changes), expected=expected)

    def summary(self, page):
        """The cells of each line of the summary."""
        lines = page.partition("## What was asked")[2].partition("\n## ")[0].splitlines()
        return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| [")]

    def better_than_udppump(self, page):
        """The lines that name who was better."""
        lines = page.partition("**Better than udppump here**")[2].splitlines()[2:]
        return lines[: lines.index("")] if "" in lines else lines

    # --- goals
    def test_a_goal_is_reached_by_the_figure_alone(self):
        line = self.summary(self.page(drain(recvfrom=1.0, udppump_run=1.019)))[0]
        self.assertIn("**1.019** (1.009..1.029)", line[2])
        self.assertEqual(line[3:], ["at most 1.02", "reached"])

    def test_a_goal_is_missed_by_the_figure_alone(self):
        self.assertEqual(self.summary(self.page(drain(recvfrom=1.0, udppump_run=1.021)))[0][4], "**missed**")

    def test_a_goal_missed_by_little_is_shown_with_the_digits_that_tell(self):
        line = self.summary(self.page(drain(recvfrom=1.0, udppump_run=1.02004)))[0]
        self.assertIn("**1.02004**", line[2])
        self.assertEqual(line[4], "**missed**")

    def test_a_goal_can_be_a_ratio_of_rows_or_of_columns(self):
        rates = {"libevent": [100.0], "libuv": [200.0], "udppump-run-uring": [150.0]}
        self.result("echo", table("echo, capacity", ["thousands a second"], rates))
        workers = {"udppump-run-uring": [1.0, 0.94], "epoll": [1.0, 0.5]}
        self.result("flood", table("flood, handler 0us, ratio to k=1", ["k=1", "k=8"], workers))
        lines = self.summary(self.report(self.docs, self.work / "echo.json", self.work / "flood.json"))
        self.assertEqual([(line[2], line[4]) for line in lines], [
            ("`udppump-run-uring` **1.500**", "reached"),
            ("`udppump-run-uring` **0.750**", "**missed**"),
            ("`udppump-run-uring` **0.940** (0.931..0.949); `epoll` 0.500", "**missed**"),
        ])
        self.assertIn("times libevent's", lines[0][1])
        self.assertIn("a trivial handler", lines[2][1])

    def test_the_tail_is_asked_at_two_loads_beside_the_sharded_queue(self):
        tail = {"udppump-run-uring": [1.02, 1.2], "reuseport-epoll": [50.0, 300.0]}
        tables = [table(f"tail, exponential, k={k}, 64 flows: p99 / ideal p99", ["70%", "90%"], tail) for k in (2, 8)]
        lines = self.summary(self.page(*tables, benchmark="tail"))
        self.assertEqual([(line[3], line[4]) for line in lines],
                         [("at most 1.03", "reached"), ("at most 1.08", "**missed**")])
        self.assertIn("`reuseport-epoll` 50.000", lines[0][2])

    def test_rows_that_belong_together_are_asked_together(self):
        rates = {"nsd-1": [1.0], "nsd-2": [1.0], "udppump-1": [1.5], "udppump-2": [0.5], "knot-2": [0.25]}
        lines = self.summary(self.page(table("dns, busy", ["x nsd"], rates), benchmark="dns"))
        self.assertEqual([(line[1][-19:], line[2]) for line in lines], [
            ("times NSD's; 1 workers"[-19:], "`udppump` **1.500** (1.485..1.515)"),
            ("times NSD's; 2 workers"[-19:], "`udppump` **0.500** (0.495..0.505); `knot` 0.250"),
        ])

    def test_what_is_not_in_the_results_is_not_in_the_summary(self):
        self.assertEqual(self.summary(self.page(drain(recvfrom=1.0, libuv=1.2))), [])
        self.assertEqual(self.summary(self.page(table("drain", ["ns"], {"udppump-run": [1.0]}))), [])

    # --- who was better
    def test_who_is_better_is_named_with_the_reason(self):
        lines = self.better_than_udppump(self.page(drain(recvfrom=1.0, recvmmsg=0.8, libevent=1.7, udppump_run=1.06)))
        self.assertEqual(len(lines), 2)
        self.assertRegex(lines[1], r"^- `recvmmsg`: it takes datagrams .*0\.800 against 1\.060")

    def test_who_is_better_without_a_known_reason_is_named_all_the_same(self):
        lines = self.better_than_udppump(self.page(drain(newcomer=0.9, udppump_run=1.0)))
        self.assertEqual(lines, ["- `newcomer`: no reason known. *x recvfrom: 0.900 against 1.000*"])

    def test_overlapping_quartiles_are_marked(self):
        page = self.page(drain(newcomer=0.99, udppump_run=1.0))
        self.assertIn(r"0.990 against 1.000\~", page)
        self.assertIn("within each other's quartiles", page)

    def test_figures_that_look_alike_get_more_digits(self):
        self.assertIn("1.00010 against 1.00012", self.page(drain(newcomer=1.0001, udppump_run=1.00012)))

    def test_the_run_loop_is_compared_and_not_the_best_of_udppump(self):
        page = self.page(drain(newcomer=0.95, udppump_run=1.0, udppump_dispatch_uring=0.9))
        self.assertEqual(len(self.better_than_udppump(page)), 1)
        page = self.page(drain(newcomer=0.95, udppump_one=1.0, udppump_two=0.9))
        self.assertIn("**Better than udppump here:** nobody.", page)

    def test_of_rates_the_higher_one_is_better(self):
        rates = {"a": [90.0], "b": [110.0], "udppump-run": [100.0]}
        page = self.page(table("echo, capacity", ["thousands a second"], rates), benchmark="echo")
        self.assertEqual([line[:6] for line in self.better_than_udppump(page)], ["- `b`:"])

    def test_rows_of_different_sizes_are_not_compared(self):
        rows = {"epoll x1": [5.0], "epoll x100": [9.0]}
        rows |= {"udppump-group-uring x1": [4.0], "udppump-group-uring x100": [8.0]}
        self.assertIn("here:** nobody", self.page(table("time", ["wake-up p50 us"], rows), benchmark="scale"))
        rows["libuv x100"] = [7.0]
        page = self.page(table("time", ["wake-up p50 us"], rows), benchmark="scale")
        self.assertRegex(self.better_than_udppump(page)[0], r"^- `libuv`: .*of x100: 7\.000 against 8\.000")

    # --- what is missing or malformed
    def test_a_missing_cell_is_an_error_that_says_where(self):
        page = self.page(drain(recvfrom=1.0, libuv=None, udppump_run=1.0), expected=1)
        self.assertIn("drain: table 'drain' has nothing in 'x recvfrom' for 'libuv'", self.said)
        self.assertIn("| `libuv` | - |", page)

    def test_no_other_row_stands_in_for_a_missing_figure_of_ours(self):
        page = self.page(drain(recvfrom=1.0, udppump_run=None, udppump_dispatch=1.01), expected=1)
        self.assertEqual(self.summary(page), [])
        self.assertNotIn("Better than udppump", page)

    def test_a_cell_that_may_be_empty_is_none(self):
        rows = {"recvfrom-blocked": [1.0, None], "udppump-run-uring": [1.2, 0.0]}
        self.page(table("wakeups, k=8", ["x recvfrom", "empty wake-ups"], rows), benchmark="wakeups")

    def test_a_run_that_does_not_tell_its_sizes_is_an_error(self):
        self.page(drain(udppump_run=1.0), run=[], expected=1)
        self.assertIn("drain: it does not say the sizes", self.said)

    def test_malformed_results_are_named_and_the_others_shown(self):
        good = self.result("idle", table("idle for 1 s", ["CPU us"], {"udppump-run-uring": [0.0]}))
        for content, reason in (
            ("{", "is not JSON"),
            ("[]", "the result has no 'benchmark'"),
            (json.dumps({"benchmark": "../x"}), "is not a program's name"),
        ):
            bad = self.work / "bad.json"
            bad.write_text(content)
            page = self.report(self.docs, bad, good, expected=1)
            self.assertIn(f"report: {bad}: ", self.said)
            self.assertIn(reason, self.said)
            self.assertIn("## idle", page)
        missing = self.work / "never-written.json"
        self.report(self.docs, missing, good, expected=1)
        self.assertIn(f"{missing}: cannot be read", self.said)

    def test_tables_that_contradict_themselves_are_refused(self):
        broken = table("drain", ["a", "b"], {"udppump-run": [1.0]})
        twice = table("drain", ["a"], {"x": [1.0]})
        twice["rows"] *= 2
        text = table("drain", ["a"], {"x": ["fast"]})
        infinite = table("drain", ["a"], {"x": [{"median": math.inf, "lower": 1, "upper": 1}]})
        for tables, reason in (
            ([broken], "row 'udppump-run' of table 'drain' has 1 cells for 2 columns"),
            ([twice], "has two rows 'x'"),
            ([text], "has 'fast' where a figure should be"),
            ([infinite], "has inf where a figure should be"),
            ([], "there is no table"),
            ([drain(a=1.0), drain(a=1.0)], "two tables have the same title"),
        ):
            self.page(*tables, expected=1)
            self.assertIn(reason, self.said)

    def test_a_result_without_a_machine_is_refused(self):
        self.page(drain(a=1.0), machine=DROP, expected=1)
        self.assertIn("the result has no 'machine'", self.said)

    def test_without_gnuplot_the_package_is_named_and_the_page_written(self):
        page = self.report(self.docs, self.result("drain", drain(udppump_run=1.0)), expected=1,
                           env=os.environ | {"PATH": "/nonexistent"})
        self.assertIn("gnuplot-nox", self.said)
        self.assertIn("## drain", page)

    # --- what is kept
    def test_quick_figures_are_not_kept_where_others_belong(self):
        first = self.page(drain(udppump_run=1.0))
        self.page(drain(udppump_run=5.0), quick=True, expected=1)
        self.assertIn("a quick run has no figures that are worth keeping", self.said)
        self.assertEqual((self.docs / "benchmarks.md").read_text(), first)
        self.assertIn("**A quick run:", self.report("--quick", self.docs, self.work / "drain.json"))

    def test_a_new_result_leaves_the_sections_of_others_alone(self):
        def section(page, name):
            return page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]

        before = self.page(drain(udppump_run=1.0))
        self.assertIn("1.000", section(before, "drain"))
        idle = self.result("idle", table("idle for 1 s", ["CPU us"], {"udppump-run-uring": [0.0]}))
        after = self.report(self.docs, idle)
        self.assertEqual(section(after, "drain").strip(), section(before, "drain").strip())
        self.assertIn("0.000", section(after, "idle"))
        self.assertTrue((self.docs / "benchmarks/drain-x-recvfrom.svg").exists())

    def test_pictures_that_nothing_draws_any_more_are_removed(self):
        self.page(drain(udppump_run=1.0))
        old = self.docs / "benchmarks/old.svg"
        old.write_text("<svg/>")
        self.report(self.docs)
        self.assertFalse(old.exists())

    def test_results_from_different_machines_are_told_apart(self):
        self.page(drain(udppump_run=1.0))
        machine = {"processors": 64, "model": "other", "kernel": "Linux 7", "rmem_max": "1", "load": "0 0 0",
                   "build": "Release", "compiler": "g++"}
        page = self.page(table("idle for 1 s", ["CPU us"], {"a": [0.0]}), benchmark="idle", machine=machine)
        self.assertIn("A: 2 processors (model)", page)
        self.assertIn("B: 64 processors (other)", page)

    # --- how it is written
    def test_a_benchmark_that_nobody_described_gets_its_tables(self):
        page = self.page(table("new table", ["a"], {"udppump-run": [1.0]}), benchmark="new")
        self.assertIn("## new", page)
        self.assertIn("| **`udppump-run`** | 1.000 (0.990..1.010) |", page)
        self.assertEqual(list((self.docs / "benchmarks").glob("*.svg")), [])

    def test_quartiles_that_show_nothing_are_left_out(self):
        page = self.page(table("drain", ["x recvfrom"], {"udppump-run": [{"median": 1, "lower": 1, "upper": 1.0001}]}))
        self.assertIn("| **`udppump-run`** | 1.000 |", page)

    def test_names_do_not_become_markup(self):
        name = "it's 50% <b>*fast*</b> & `raw` | more"
        page = self.page(drain(**{name: 0.9, "udppump_run": 1.0}), method="a_b*c* <i>[x](y)</i> | d", run=[name])
        self.assertIn(r"a\_b\*c\* &lt;i&gt;\[x\](y)&lt;/i&gt; \| d", page)
        self.assertIn("| `` it's 50% <b>*fast*</b> & `raw` \\| more `` | 0.900", page)
        self.assertIn(r"it's 50% &lt;b&gt;\*fast\*&lt;/b&gt; &amp; \`raw\` \| more.", page)
        drawn = xml.etree.ElementTree.parse(self.docs / "benchmarks/drain-x-recvfrom.svg")
        self.assertIn(name, [" ".join(text.itertext()).strip() for text in drawn.iter() if text.tag.endswith("}text")])

    def test_lines_and_bars_are_drawn_from_columns_rows_and_tables(self):
        self.result("flood", table("flood, handler 0us, thousands a second", ["k=1", "k=8"], {"epoll": [2.0, 1.0]}))
        sizes = {"epoll x1": [1.0], "epoll x100": [2.0]}
        self.result("scale", table("time", ["wake-up p50 us"], sizes))
        switches = [table(f"wakeups, k={k}", ["switches/datagram"], {"epoll": [float(k)]}) for k in (1, 8)]
        self.result("wakeups", *switches)
        page = self.report(self.docs, *(self.work / f"{name}.json" for name in ("flood", "scale", "wakeups")))
        drawn = sorted(path.name for path in (self.docs / "benchmarks").glob("*.svg"))
        self.assertEqual(drawn, ["flood-handler-0us-thousands-a-second.svg", "scale-time-wake-up-p50-us.svg",
                                 "wakeups-k-8-switches-datagram.svg", "wakeups-switches-datagram.svg"])
        for name in drawn:
            self.assertIn(f"](benchmarks/{name})", page)
            picture = xml.etree.ElementTree.parse(self.docs / "benchmarks" / name)
            self.assertTrue(any(text.tag.endswith("}text") for text in picture.iter()))
            drawn_parts = [part for part in picture.iter() if len(part) or not part.tag.endswith("}g")]
            shown = [part.get(kind, "").strip() for part in drawn_parts for kind in ("fill", "stroke")]
            shown += [part.get("color") for part in drawn_parts if part.tag.endswith("}use")]
            self.assertFalse({"white", "black", "#000000", "#ffffff"} & set(shown), "unreadable on one background")

    def test_a_line_of_zeros_on_a_logarithmic_axis_is_left_out(self):
        self.page(table("memory per socket, bytes", ["heap served"], {"epoll x1": [0.0], "epoll x100": [0.0]}),
                  benchmark="scale")
        self.assertEqual(list((self.docs / "benchmarks").glob("*.svg")), [])

    # --- the page of this repository
    def test_the_page_in_docs_is_what_its_results_say(self):
        self.docs.mkdir()
        shutil.copytree(SOURCE / "docs/benchmarks", self.docs / "benchmarks")
        drawn = {path.name for path in (self.docs / "benchmarks").glob("*.svg")}
        page = self.report(self.docs)
        self.assertEqual({path.name for path in (self.docs / "benchmarks").glob("*.svg")}, drawn,
                         "other pictures; cure: ./dev bench --page")
        self.assertEqual(page.splitlines(), (SOURCE / "docs/benchmarks.md").read_text().splitlines(),
                         "cure: ./dev bench --page")


if __name__ == "__main__":
    unittest.main()
