"""What follows from the figures: which goals are reached, and who was better than udppump."""

import dataclasses
import re

import benchmarks
from reasons import REASONS


@dataclasses.dataclass(frozen=True)
class Answer:
    benchmark: str
    question: str
    seen: str
    goal: str
    verdict: str


def figure(value, precision):
    return f"{value:,.{precision}f}"


def spread(cell, precision):
    """The quartiles are left out if they are no others than the median, to the digits shown."""
    if cell is None:
        return "-"
    median = figure(cell.median, precision)
    if not cell.has_spread:
        return median
    lower, upper = figure(cell.lower, precision), figure(cell.upper, precision)
    return median if lower == upper == median else f"{median} ({lower}..{upper})"


def code(text):
    """A name as code, in a table or outside."""
    text = " ".join(text.split()).replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def plain(text, but=""):
    """A text that Markdown shows as it is, on one line; `but` are characters that keep their meaning."""
    text = " ".join(text.split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    def escaped(part):
        return "".join("\\" + c if c in "\\`*_[]|~" and c not in but else c for c in part)

    if "`" not in but:
        return escaped(text)
    # What stands between backticks is code, and is shown as it is, but for what ends a cell of a table.
    parts = text.split("`")
    return "`".join(part.replace("|", "\\|") if at % 2 else escaped(part) for at, part in enumerate(parts))


def missing_cells(result):
    """What every table should have, but these do not."""
    allowed = _spec(result).may_be_empty
    for table in result.tables:
        for column in table.columns:
            missing = []
            for name in table.rows:
                at = (table.title, name, column.name)
                may_be_empty = any(all(map(re.fullmatch, each, at)) for each in allowed)
                if table.cell(name, column.name) is None and not may_be_empty:
                    missing.append(repr(name))
            if missing:
                where = f"{result.benchmark}: table {table.title!r} has nothing in {column.name!r}"
                yield f"{where} for {', '.join(missing)}"


def answers(result):
    """The lines of the summary; none for what is not in the result."""
    for asked in _spec(result).asked:
        for table, title in _tables(result, asked.table):
            for column in _columns(table, asked.column):
                for label, cells in _groups(table, column, asked.rows).items():
                    yield from _answer(result, asked, table, column, cells, title, label)


def better_ones(result):
    """Paragraphs that name who was better than udppump, and why; none if there is no udppump to compare with."""
    where = {}  # contender: {table and row of ours: where it was better}
    compared = set()
    for each in _spec(result).compared:
        for table, _ in _tables(result, each.table):
            for column in _columns(table, each.column):
                for label, cells in _groups(table, column, each.rows).items():
                    ours = _our_row(cells, each.better)
                    if ours is None:
                        continue
                    compared.add(ours)
                    for name, cell in cells.items():
                        if benchmarks.is_udppump(name) or not _is_better(cell, cells[ours], each.better):
                            continue
                        what = f"{column.name} of x{label}" if label else column.name
                        found = where.setdefault(name, {}).setdefault((table.title, ours), [])
                        found.append(f"{what}: {_against(cell, cells[ours], column.precision)}")
    if not compared:
        return []
    if not where:
        return ["**Better than udppump here:** nobody."]
    lines = []
    for name, tables in where.items():
        reason = REASONS.get(f"{result.benchmark} {name}") or REASONS.get(name) or "no reason known"
        places = []
        for (title, ours), found in tables.items():
            said = f"{_short(result, title)}, " if len(result.tables) > 1 else ""
            behind = f" of {code(ours)}" if len(compared) > 1 else ""
            places.append(f"{said}{'; '.join(found)}{behind}")
        lines.append(f"- {code(name)}: {reason}. *{plain('; '.join(places), but='`')}*")
    whose = f"the second figure is {f'that of {code(*compared)}' if len(compared) == 1 else 'its'}"
    note = " (~: within each other's quartiles)" if any("~" in line for line in lines) else ""
    return [f"**Better than udppump here**, by the medians; {whose}{note}:", "\n".join(lines)]


def _spec(result):
    return benchmarks.BENCHMARKS.get(result.benchmark, benchmarks.Benchmark())


def _tables(result, pattern):
    for table in result.tables:
        match = re.fullmatch(pattern, table.title)
        if match:
            yield table, match.groups()


def _columns(table, pattern):
    return [column for column in table.columns if re.fullmatch(pattern, column.name)]


def _groups(table, column, rows):
    """By what rows have in common: the contenders' cells."""
    groups = {}
    for row in table.rows:
        match = re.fullmatch(rows, row)
        if match:
            groups.setdefault(match.group(2), {})[match.group(1)] = table.cell(row, column.name)
    return groups


def _our_row(cells, better):
    """None if there is no such row, or nothing in it: then no other stands in for it."""
    for name in benchmarks.UDPPUMP_ROWS:
        if name in cells:
            return name if cells[name] is not None else None
    ours = [name for name, cell in cells.items() if cell is not None and name.startswith("udppump")]
    choose = min if better == benchmarks.LOWER else max
    return choose(ours, key=lambda name: cells[name].median) if ours else None


def _is_better(cell, than, better):
    if cell is None:
        return False
    return cell.median < than.median if better == benchmarks.LOWER else cell.median > than.median


def _short(result, title):
    return title.removeprefix(f"{result.benchmark}, ")


def _against(cell, ours, precision):
    """Both medians, with as many digits as it takes to tell them apart."""
    while precision < 6 and figure(cell.median, precision) == figure(ours.median, precision):
        precision += 1
    overlap = cell.has_spread and ours.has_spread and cell.upper >= ours.lower and ours.upper >= cell.lower
    return f"{figure(cell.median, precision)} against {figure(ours.median, precision)}{'~' if overlap else ''}"


def _answer(result, asked, table, column, cells, title, label):
    row = asked.row or _our_row(cells, benchmarks.LOWER)
    if cells.get(row) is None:
        return
    divisors = _divisors(asked, table, cells)
    if row not in divisors:
        return
    value = cells[row].median / divisors[row]
    is_ratio = asked.over_row is not None or asked.over_column is not None
    beside_precision = precision = 3 if is_ratio else column.precision
    verdict = ""
    if asked.goal is not None:
        reached = asked.goal.is_reached(value)
        verdict = "reached" if reached else "**missed**"
        # As many digits as it takes to see why.
        while precision < 6 and asked.goal.is_reached(round(value, precision)) != reached:
            precision += 1
    seen = f"{code(row)} " + (f"**{figure(value, precision)}**" if is_ratio else _bold(cells[row], precision))
    for name in divisors:
        if any(re.fullmatch(pattern, name) for pattern in asked.beside):
            seen += f"; {code(name)} {figure(cells[name].median / divisors[name], beside_precision)}"
    question = asked.question.format(*(group or "" for group in title), column=column.name, label=label)
    yield Answer(result.benchmark, question, seen, asked.goal.text if asked.goal else "", verdict)


def _divisors(asked, table, cells):
    """By what rows' figures are to be divided; without the rows for which that is missing or zero."""
    if asked.over_row is not None:
        over = next((cell for name, cell in cells.items() if name.lower() == asked.over_row), None)
        found = {name: over for name in cells}
    elif asked.over_column is not None:
        found = {name: table.cell(name, asked.over_column) for name in cells}
    else:
        return {name: 1.0 for name, cell in cells.items() if cell is not None}
    return {name: by.median for name, by in found.items() if cells[name] is not None and by is not None and by.median}


def _bold(cell, precision):
    median, _, rest = spread(cell, precision).partition(" ")
    return f"**{median}**" + (f" {rest}" if rest else "")

