"""Pictures of tables, drawn by gnuplot: SVG on no background, in colours that can be read on white and on black."""

import dataclasses
import math
import re
import subprocess

import benchmarks

GREY = "#808080"
UDPPUMP_COLOURS = ("#2f81f7", "#0e9888", "#8957e5", "#00a0c6")
COLOURS = ("#d9730d", "#e5534b", "#5a9216", "#d6409f", "#b8860b", "#7a8599", "#9a6b4f", "#b35900")
CHARACTER = 7.3  # pixels, at most, of a character in a label


class CannotDraw(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Picture:
    """`table` is the one it belongs below; None if it shows all."""

    name: str
    title: str
    table: str | None
    script: str


@dataclasses.dataclass
class _Line:
    name: str
    points: list  # (x, cell)


def pictures(result):
    """What is to be drawn of a result; names are unique."""
    found = []
    for kind in benchmarks.BENCHMARKS.get(result.benchmark, benchmarks.Benchmark()).plots:
        found += _bars(result, kind) if isinstance(kind, benchmarks.Bars) else _lines(result, kind)
    taken = set()
    for index, each in enumerate(found):
        slug = re.sub(r"[^a-z0-9]+", "-", each.name.lower()).strip("-")
        while slug in taken:
            slug += f"-{index}"
        taken.add(slug)
        found[index] = dataclasses.replace(each, name=slug)
    return found


def draw(picture, path):
    output = f"set output {_quoted(str(path))}\n"
    try:
        done = subprocess.run(["gnuplot", "-"], input=output + picture.script, text=True, capture_output=True)
    except FileNotFoundError:
        raise CannotDraw("gnuplot cannot be run; install it (Debian: gnuplot-nox)") from None
    if done.returncode != 0 or not path.exists():
        raise CannotDraw(f"gnuplot did not draw {path.name}: {done.stderr.strip()}")
    drawn = path.read_text()
    title = picture.title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    path.write_text(drawn.replace("<title>Gnuplot</title>", f"<title>{title}</title>"))


def _bars(result, kind):
    for table in result.tables:
        if not re.fullmatch(kind.table, table.title):
            continue
        for column in table.columns:
            if not re.fullmatch(kind.column, column.name):
                continue
            rows = [(name, table.cell(name, column.name)) for name in table.rows if re.fullmatch(kind.rows, name)]
            rows = [(name, cell) for name, cell in rows if cell is not None]
            if rows:
                title = f"{_what(result, table)}: {kind.label}"
                name = f"{result.benchmark} {table.title.removeprefix(result.benchmark)} {column.name}"
                yield Picture(name, title, table.title, _bar_script(title, kind, column, rows))


def _bar_script(title, kind, column, rows):
    rows = sorted(rows, key=lambda row: row[1].median, reverse=kind.better == benchmarks.LOWER)  # the best is on top
    reach = max(cell.upper if cell.has_spread else cell.median for _, cell in rows)
    right = max(reach, kind.mark or 0) * 1.13 or 1
    data, tics, labels = [], [], []
    for y, (name, cell) in enumerate(rows):
        low, high = (cell.lower, cell.upper) if cell.has_spread else (cell.median, cell.median)
        data.append(f"{cell.median:.9g} {y} {low:.9g} {high:.9g} {1 if benchmarks.is_udppump(name) else 0}")
        tics.append(f"{_format_quoted(name)} {y}")
        labels.append(
            f"set label {_quoted(f'{cell.median:,.{column.precision}f}')} at {high:.9g},{y} left offset 0.7,0 "
            f"textcolor rgb '{UDPPUMP_COLOURS[0] if benchmarks.is_udppump(name) else GREY}'"
        )
    margin = max(len(name) for name, _ in rows) * CHARACTER
    lines = [
        _look(title, 800, 90 + 24 * len(rows)),
        f"set lmargin at screen {(margin + 20) / 800:.4f}\nset rmargin at screen 0.97",
        f"set xrange [0:{right:.9g}]\nset yrange [-0.6:{len(rows) - 0.4}]",
        "set ytics scale 0 (" + ", ".join(tics) + ")",
        "set grid noytics xtics",
        "set style fill solid 0.75 noborder",
        *labels,
    ]
    if kind.mark is not None:
        lines.append(f"set arrow from {kind.mark},graph 0 to {kind.mark},graph 1 nohead dashtype 2 "
                     f"linecolor rgb '{GREY}'")
    lines.append("$bars << END\n" + "\n".join(data) + "\nEND")
    box = "using ($5 == {} ? $1/2 : NaN):2:(0):1:($2-0.32):($2+0.32) with boxxyerror linecolor rgb '{}'"
    lines.append(
        "plot $bars " + box.format(0, "#7d8590") + ", $bars " + box.format(1, UDPPUMP_COLOURS[0])
        + f", $bars using 1:2:3:4 with xerrorbars pointtype 0 linewidth 1.5 linecolor rgb '{GREY}'"
    )
    return "\n".join(lines) + "\n"


def _lines(result, kind):
    tables = [table for table in result.tables if re.fullmatch(kind.table, table.title)]
    if kind.x == "tables":
        lines = {}
        for table in tables:
            x = float(re.fullmatch(kind.table, table.title).group(1))
            for name in table.rows:
                lines.setdefault(name, _Line(name, [])).points.append((x, table.cell(name, kind.column)))
        yield from _line_picture(f"{result.benchmark} {kind.column}", result.benchmark, None, kind, lines.values())
        return
    for table in tables:
        lines = {}
        for name, cells in table.rows.items():
            row = re.fullmatch(kind.rows, name)
            if not row:
                continue
            if kind.x == "rows":
                line = lines.setdefault(row.group(1), _Line(row.group(1), []))
                line.points.append((float(row.group(2)), table.cell(name, kind.column)))
                continue
            for column, cell in zip(table.columns, cells):
                number = re.search(r"\d+(\.\d+)?", column.name)
                if number and re.fullmatch(kind.column, column.name):
                    lines.setdefault(name, _Line(name, [])).points.append((float(number.group()), cell))
        name = f"{result.benchmark} {table.title.removeprefix(result.benchmark)}"
        if kind.x == "rows":
            name += f" {kind.column}"
        yield from _line_picture(name, _what(result, table), table.title, kind, lines.values())


def _what(result, table):
    return table.title if table.title.startswith(result.benchmark) else f"{result.benchmark}, {table.title}"


def _line_picture(name, what, table, kind, lines):
    shown = []
    for line in lines:
        points = sorted((x, cell) for x, cell in line.points if _can_be_shown(x, cell, kind))
        if points:
            shown.append(_Line(line.name, points))
    if any(len(line.points) > 1 for line in shown):
        title = f"{what}: {kind.label}"
        yield Picture(name, title, table, _line_script(title, kind, shown))


def _can_be_shown(x, cell, kind):
    return cell is not None and (x > 0 or not kind.log_x) and (cell.median > 0 or not kind.log_y)


def _line_script(title, kind, lines):
    height = max(440, 130 + 17 * len(lines))
    values = [cell.median for line in lines for _, cell in line.points] + ([kind.mark] if kind.mark else [])
    if kind.log_y:
        bottom, top = min(values) / 1.15, max(values) * 1.15
    else:
        bottom, top = 0, max(values) * 1.05 or 1
    to_axis = (lambda y: math.log(y)) if kind.log_y else (lambda y: y)
    places = _apart([to_axis(line.points[-1][1].median) for line in lines], to_axis(bottom) if kind.log_y else 0,
                    to_axis(top), 17 / (height - 110))
    marks = sorted({x for line in lines for x, _ in line.points})
    at = {x: step if kind.in_steps else x for step, x in enumerate(marks)}
    margin = max(len(line.name) for line in lines) * CHARACTER + 30
    script = [
        _look(title, 860, height),
        f"set rmargin at screen {1 - margin / 860:.4f}\nset lmargin at screen 0.09",
        f"set yrange [{bottom:.9g}:{top:.9g}]\nset xlabel {_quoted(kind.x_label)} textcolor rgb '{GREY}'",
        "set xtics (" + ", ".join(f"'{x:g}' {at[x]:.9g}" for x in marks) + ")",
        f"set xrange [{min(at.values()):.9g}:{max(at.values()) * 1.00001:.9g}]",  # else the last tic may be missing
        "set format y '%g'",
    ]
    if kind.log_x:
        script.append(f"set logscale x {kind.log_x}")
    if kind.log_y:
        script.append(f"set logscale y {kind.log_y}")
        script += _tics_between(bottom, top)
    if kind.mark is not None:
        script.append(f"set arrow from graph 0,first {kind.mark} to graph 1,first {kind.mark} nohead dashtype 2 "
                      f"linecolor rgb '{GREY}'")
    plots, counts = [], {True: 0, False: 0}
    for index, (line, place) in enumerate(zip(lines, places)):
        ours = benchmarks.is_udppump(line.name)
        colours = UDPPUMP_COLOURS if ours else COLOURS
        colour, dash = colours[counts[ours] % len(colours)], 1 + counts[ours] // len(colours)
        counts[ours] += 1
        rows = []
        for x, cell in line.points:
            low, high = (cell.lower, cell.upper) if cell.has_spread else (cell.median, cell.median)
            rows.append(f"{at[x]:.9g} {cell.median:.9g} {max(low, bottom):.9g} {min(high, top):.9g}")
        script.append(f"$line{index} << END\n" + "\n".join(rows) + "\nEND")
        height_of_label = math.exp(place) if kind.log_y else place
        script.append(f"set label {_quoted(line.name)} at graph 1,first {height_of_label:.9g} left offset 1,0 "
                      f"textcolor rgb '{colour}'")
        width = 2.5 if ours else 1.4
        plots.append(f"$line{index} using 1:2 with lines linewidth {width} dashtype {dash} linecolor rgb '{colour}'")
        # Not yerrorbars: gnuplot puts a white disc under each.
        plots.append(f"$line{index} using 1:3:(0):($4-$3) with vectors nohead linewidth 1 linecolor rgb '{colour}'")
        plots.append(f"$line{index} using 1:2 with points pointtype 7 pointsize 0.4 linecolor rgb '{colour}'")
    script.append("plot " + ", ".join(plots))
    return "\n".join(script) + "\n"


def _tics_between(bottom, top):
    """1, 2 and 5 of each power of ten if there are few powers, else the powers alone."""
    steps = (1, 2, 5) if top / bottom < 300 else (1,)
    tics = [
        step * 10.0**power
        for power in range(math.floor(math.log10(bottom)), math.ceil(math.log10(top)) + 1)
        for step in steps
        if bottom <= step * 10.0**power <= top
    ]
    if len(tics) < 2:
        return []
    return ["set ytics (" + ", ".join(f"'{tic:g}' {tic:g}" for tic in tics) + ")"]


def _apart(wanted, bottom, top, share):
    """Places near those wanted, with at least `share` of the axis between any two."""
    gap = (top - bottom) * share
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    places, below = [0.0] * len(wanted), -math.inf
    for index in order:
        below = places[index] = max(wanted[index], below + gap)
    above = max(top, bottom + gap * len(wanted))
    for index in reversed(order):
        places[index] = min(places[index], above)
        above = places[index] - gap
    return places


def _look(title, width, height):
    return f"""set terminal svg size {width},{height} dynamic noenhanced font 'sans-serif,13'
set title {_quoted(title)} textcolor rgb '{GREY}'
set border 3 linecolor rgb '{GREY}'
set tics nomirror textcolor rgb '{GREY}'
set grid linecolor rgb '{GREY}' linewidth 0.3 dashtype 3
unset key"""


def _quoted(text):
    """In gnuplot's single quotes only the quote itself means something; a line ends the string."""
    return "'" + " ".join(text.split()).replace("'", "''") + "'"


def _format_quoted(text):
    """Labels of tics are formats (gnuplot, "set xtics"): a percent sign is written twice."""
    return _quoted(text.replace("%", "%%"))
