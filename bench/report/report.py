#!/usr/bin/env python3
"""Writes DIRECTORY/benchmarks.md and its pictures, from results of the benchmarks.

New results (--json FILE of a benchmark) are kept in DIRECTORY/benchmarks/NAME.json; the page shows all that are kept
there. What is wrong is said on standard error, and the exit code is then 1; what is right is written all the same.
"""

import argparse
import pathlib
import sys

sys.dont_write_bytecode = True  # the folder is one of sources

import comparisons
import page
import plots
import results


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="results of --quick may be among the new ones")
    arguments.add_argument("directory", metavar="DIRECTORY", type=pathlib.Path)
    arguments.add_argument("results", metavar="RESULT", type=pathlib.Path, nargs="*", help="new ones")
    chosen = arguments.parse_args()

    problems = []
    kept = chosen.directory / "benchmarks"
    kept.mkdir(parents=True, exist_ok=True)
    for new in read_all(chosen.results, problems):
        if new.quick and not chosen.quick:
            problems.append(f"{new.benchmark}: a quick run has no figures that are worth keeping")
        else:
            (kept / f"{new.benchmark}.json").write_text(results.to_text(new))

    shown = read_all(sorted(kept.glob("*.json")), problems)
    if not shown:
        problems.append(f"{kept}: there is no result to show")
    else:
        write_page(chosen.directory, shown, problems)
    for each in shown:
        problems += comparisons.missing_cells(each)
        if not each.run:
            problems.append(f"{each.benchmark}: it does not say the sizes of its run; print_run() would")
    for each in problems:
        print(f"report: {each}", file=sys.stderr)
    return 1 if problems else 0


def read_all(paths, problems):
    good = []
    for path in paths:
        try:
            good.append(results.read(path))
        except results.BadResult as error:
            problems.append(str(error))
    return good


def write_page(directory, shown, problems):
    texts = pathlib.Path(__file__).parent / "text"
    pictures, drawn = {}, set()
    for each in shown:
        pictures[each.benchmark] = plots.pictures(each)
        for picture in pictures[each.benchmark]:
            path = directory / "benchmarks" / f"{picture.name}.svg"
            try:
                plots.draw(picture, path)
            except plots.CannotDraw as error:
                problems.append(str(error))
            drawn.add(path)
    for old in (directory / "benchmarks").glob("*.svg"):
        if old not in drawn:
            old.unlink()
    (directory / "benchmarks.md").write_text(page.markdown(shown, texts, pictures))


if __name__ == "__main__":
    sys.exit(main())
