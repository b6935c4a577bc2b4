"""The page: docs/benchmarks.md from results and the texts in text/."""

import re
import string

import benchmarks
import comparisons
from comparisons import code, plain, spread

WRITTEN = "<!-- Written by `./dev bench` from benchmarks/*.json and bench/report/. Changes made here are lost. -->"
MACHINE = "{processors} processors ({model}), {kernel}, net.core.rmem_max {rmem_max}; {compiler}, {build}"
QUICK = (
    "**A quick run: few and small repetitions, which show that the benchmarks work. Its figures say nothing about "
    "speed.**"
)


def in_order(results):
    known = list(benchmarks.BENCHMARKS)
    return sorted(results, key=lambda each: (known.index(each.benchmark) if each.benchmark in known else len(known),
                                             each.benchmark))


def markdown(results, texts, pictures):
    """`texts`: a directory. `pictures`: those of each benchmark's name."""
    results = in_order(results)
    parts = ["# Benchmarks", WRITTEN]
    if any(each.quick for each in results):
        parts.append(QUICK)
    parts.append((texts / "page.md").read_text().strip())
    parts += _summary(results)
    parts += _machines(results)
    for each in results:
        parts += _section(each, texts, pictures.get(each.benchmark, []))
    return "\n\n".join(parts) + "\n"


def _summary(results):
    lines = [answer for each in results for answer in comparisons.answers(each)]
    if not lines:
        return []
    rows = ["| | what was asked | what was seen | goal | |", "|---|---|---|---|---|"]
    for each in lines:
        rows.append(f"| [{each.benchmark}](#{each.benchmark}) | {plain(each.question, but='`')} | {each.seen} | "
                    f"{each.goal} | {each.verdict} |")
    return ["## What was asked, and what was seen", "\n".join(rows)]


def _machines(results):
    machines = list(dict.fromkeys(MACHINE.format(**each.machine) for each in results))
    if not machines:
        return []
    letters = dict(zip(machines, string.ascii_uppercase))
    parts = ["## The machine" if len(machines) == 1 else "## The machines"]
    parts += [plain(text if len(machines) == 1 else f"{letters.get(text, '-')}: {text}") + "." for text in machines]
    rows = ["| | measured (UTC) | took | load before | revision |" + (" machine |" if len(machines) > 1 else ""),
            "|---|---|---|---|---|" + ("---|" if len(machines) > 1 else "")]
    for each in results:
        row = (f"| [{each.benchmark}](#{each.benchmark}) | {plain(each.began.replace('T', ' ').rstrip('Z'))} | "
               f"{each.seconds:.0f} s | {plain(each.machine['load'])} | {plain(each.revision) or '-'} |")
        if len(machines) > 1:
            row += f" {letters.get(MACHINE.format(**each.machine), '-')} |"
        rows.append(row)
    return parts + ["\n".join(rows)]


def _section(result, texts, pictures):
    parts = [f"## {result.benchmark}"]
    path = texts / f"{result.benchmark}.md"
    if path.exists():
        before, _, after = path.read_text().partition("<!-- results -->")
    else:
        before, after = plain(result.title), ""
    parts.append(before.strip())
    parts.append(f"**Method.** {plain(result.method)}")
    if result.run:
        parts.append("**Run.** " + plain("; ".join(result.run)) + ".")
    if result.left_out:
        parts.append("**Left out.** " + plain("; ".join(result.left_out)) + ".")
    parts += [_image(each) for each in pictures if each.table is None]
    folded = benchmarks.BENCHMARKS.get(result.benchmark, benchmarks.Benchmark()).folded
    for table in result.tables:
        parts += [_image(each) for each in pictures if each.table == table.title]
        text = _table(table)
        if re.fullmatch(folded, table.title):
            parts.append(f"<details><summary>{plain(table.title)}</summary>")
            parts += [text, "</details>"]
        else:
            parts += ([f"*{plain(table.title)}*"] if len(result.tables) > 1 else []) + [text]
    parts += comparisons.better_ones(result)
    if after.strip():
        parts.append(after.strip())
    return parts


def _image(picture):
    return f"![{plain(picture.title)}](benchmarks/{picture.name}.svg)"


def _table(table):
    rows = ["| | " + " | ".join(plain(each.name) for each in table.columns) + " |",
            "|---|" + "---:|" * len(table.columns)]
    for name, cells in table.rows.items():
        values = [spread(cell, column.precision) for cell, column in zip(cells, table.columns)]
        name = f"**{code(name)}**" if benchmarks.is_udppump(name) else code(name)
        rows.append(f"| {name} | " + " | ".join(values) + " |")
    return "\n".join(rows)
