"""What a benchmark wrote with --json, read and checked."""

import dataclasses
import json
import math


class BadResult(Exception):
    """Names the file and what is wrong with it."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A figure; with its quartiles if it is the median of several."""

    median: float
    lower: float | None = None
    upper: float | None = None

    @property
    def has_spread(self):
        return self.lower is not None


@dataclasses.dataclass(frozen=True)
class Column:
    name: str
    precision: int


@dataclasses.dataclass(frozen=True)
class Table:
    title: str
    columns: tuple[Column, ...]
    rows: dict[str, tuple[Cell | None, ...]]

    def cell(self, row, column):
        """The cell of a row's and a column's name; None if there is none."""
        for index, each in enumerate(self.columns):
            if each.name == column and row in self.rows:
                return self.rows[row][index]
        return None


@dataclasses.dataclass(frozen=True)
class Result:
    benchmark: str
    title: str
    method: str
    quick: bool
    revision: str
    began: str
    seconds: float
    machine: dict
    run: tuple[str, ...]
    left_out: tuple[str, ...]
    tables: tuple[Table, ...]
    raw: dict = dataclasses.field(repr=False, compare=False)


MACHINE = {"processors": int, "model": str, "kernel": str, "rmem_max": str, "load": str, "build": str, "compiler": str}


def read(path):
    try:
        raw = json.loads(path.read_text())
    except OSError as error:
        raise BadResult(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise BadResult(f"{path}: is not JSON: {error}; run its benchmark again") from None
    try:
        return _result(raw)
    except BadResult as error:
        raise BadResult(f"{path}: {error}; run its benchmark again") from None


def to_text(result):
    """The same as JSON, a row of a table on a line: small differences for small changes."""
    head = {key: value for key, value in result.raw.items() if key != "tables"}
    tables = []
    for table in result.raw["tables"]:
        rows = ",\n".join("   " + json.dumps(row, ensure_ascii=False) for row in table["rows"])
        columns = json.dumps(table["columns"], ensure_ascii=False)
        title = json.dumps(table["title"], ensure_ascii=False)
        tables.append(f'  {{"title": {title},\n   "columns": {columns},\n   "rows": [\n{rows}\n   ]}}')
    lines = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    lines.append(' "tables": [\n' + ",\n".join(tables) + "\n ]")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _result(raw):
    benchmark = _field(raw, "benchmark", str, "the result")
    if not benchmark or not all(c.isalnum() or c in "-_" for c in benchmark):
        raise BadResult(f"benchmark {benchmark!r} is not a program's name")
    machine = _field(raw, "machine", dict, "the result")
    for name, kind in MACHINE.items():
        _field(machine, name, kind, "machine")
    tables = tuple(_table(each) for each in _field(raw, "tables", list, "the result"))
    if not tables:
        raise BadResult("there is no table in it")
    titles = [each.title for each in tables]
    if len(set(titles)) < len(titles):
        raise BadResult("two tables have the same title")
    return Result(
        benchmark=benchmark,
        machine=machine,
        tables=tables,
        run=_texts(raw, "run"),
        left_out=_texts(raw, "left_out"),
        raw=raw,
        **{
            name: _field(raw, name, kind, "the result")
            for name, kind in (("title", str), ("method", str), ("quick", bool), ("revision", str), ("began", str))
        },
        seconds=_field(raw, "seconds", (int, float), "the result"),
    )


def _table(raw):
    title = _field(raw, "title", str, "a table")
    where = f"table {title!r}"
    columns = []
    for each in _field(raw, "columns", list, where):
        columns.append(
            Column(_field(each, "name", str, where), _field(each, "precision", int, f"a column of {where}"))
        )
    rows = {}
    for each in _field(raw, "rows", list, where):
        name = _field(each, "name", str, f"a row of {where}")
        cells = _field(each, "cells", list, f"row {name!r} of {where}")
        if len(cells) != len(columns):
            raise BadResult(f"row {name!r} of {where} has {len(cells)} cells for {len(columns)} columns")
        if name in rows:
            raise BadResult(f"{where} has two rows {name!r}")
        rows[name] = tuple(_cell(cell, f"row {name!r} of {where}") for cell in cells)
    if not rows or not columns:
        raise BadResult(f"{where} is empty")
    return Table(title, tuple(columns), rows)


def _cell(raw, where):
    if raw is None:
        return None
    if not isinstance(raw, dict):
        return Cell(_figure(raw, where))
    spread = [raw.get(part) for part in ("median", "lower", "upper")]
    return None if None in spread else Cell(*(_figure(each, where) for each in spread))


def _figure(raw, where):
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not math.isfinite(raw):
        raise BadResult(f"{where} has {raw!r} where a figure should be")
    return float(raw)


def _field(raw, name, kind, where):
    if not isinstance(raw, dict) or name not in raw:
        raise BadResult(f"{where} has no {name!r}")
    value = raw[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadResult(f"{where} has a {name!r} of the wrong kind: {value!r}")
    return value


def _texts(raw, name):
    texts = _field(raw, name, list, "the result")
    if not all(isinstance(each, str) for each in texts):
        raise BadResult(f"the result has a {name!r} of the wrong kind: {texts!r}")
    return tuple(texts)
