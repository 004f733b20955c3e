"""The tables of a PLY file: its header, and its elements as columns, from text or either binary form.

What they mean is `kyvo.data.meshes.ply_files`'s matter. http://paulbourke.net/dataformats/ply describes the format.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from kyvo.data.meshes.mesh_parts import MAX_TRIANGLES, too_many_triangles
from kyvo.data.meshes.named_files import parse_numbers

_TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"}
_TYPES |= {"float": "f4", "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2"}
_TYPES |= {"int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8"}
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_PICTURE = "texturefile"


@dataclass(frozen=True, kw_only=True)
class Property:
    name: str
    type: str  # numpy's, without byte order
    count: str | None = None  # the type of a list's length


@dataclass(kw_only=True)
class Element:
    name: str
    size: int
    properties: list[Property] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Header:
    order: str  # numpy's byte order; "" for text
    elements: Sequence[Element]
    pictures: Sequence[str]
    body: int  # where it begins

    @property
    def types(self) -> dict[tuple[str, str], str]:
        """By element and property."""
        return {(element.name, item.name): item.type for element in self.elements for item in element.properties}


@dataclass(frozen=True, kw_only=True, eq=False)
class Lists:
    """A list property: the rows' values one after another."""

    sizes: Int[np.ndarray, " rows"]
    values: np.ndarray


Columns = Mapping[str, "np.ndarray | Lists"]


def read_tables(data: bytes) -> tuple[Header, dict[str, Columns]]:
    """The header, and the columns of each element by name; names are in lower case.

    Raises Fault or ValueError for a file that cannot be read.
    """
    header = _header(data)
    if sum(element.size for element in header.elements if element.name == "face") > MAX_TRIANGLES:
        raise too_many_triangles()
    claimed, left = sum(element.size for element in header.elements), len(data) - header.body
    if claimed > left:  # the least that an element takes is a byte
        raise ValueError(f"its header claims {claimed:,} elements, and {left:,} bytes follow")
    body = _Text(data[header.body :]) if header.order == "" else _Binary(data, header.body, header.order)
    elements = {element.name: body.read(element) for element in header.elements}
    body.finish()
    return header, elements


def _header(data: bytes) -> Header:
    start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    if data[start : start + 3] != b"ply":
        raise ValueError("it does not begin with ply")
    end = data[start + 3 : start + 5]
    newline = b"\r" if end[:1] == b"\r" and end != b"\r\n" else b"\n"
    order, elements, pictures = None, [], []
    while True:
        stop = data.find(newline, start)
        if stop < 0:
            raise ValueError("its header has no end")
        words = data[start:stop].decode("utf-8", errors="replace").split()
        start = stop + len(newline)
        match words:
            case ["end_header"]:
                break
            case ["format", name, _] if name in _ORDERS:
                order = _ORDERS[name]
            case ["comment", word, _, *_] if word.lower() == _PICTURE:
                line = data[:stop].rpartition(newline)[2].decode("utf-8", errors="replace")
                pictures.append(line.split(maxsplit=2)[2].strip())
            case ["element", name, size] if int(size) >= 0:
                elements.append(Element(name=name.lower(), size=int(size)))
            case ["property", "list", count, kind, name] if elements and {count, kind} <= _TYPES.keys():
                elements[-1].properties.append(Property(name=name.lower(), type=_TYPES[kind], count=_TYPES[count]))
            case ["property", kind, name] if elements and kind in _TYPES:
                elements[-1].properties.append(Property(name=name.lower(), type=_TYPES[kind]))
            case ["ply" | "\ufeffply"] | ["comment" | "obj_info", *_] | []:
                pass
            case _:
                raise ValueError(f"its header has the line {' '.join(words)!r}")
    if order is None:
        raise ValueError("its header has no known format")
    names = [element.name for element in elements]
    names += [f"{element.name}.{item.name}" for element in elements for item in element.properties]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"its header has {twice} twice")
    return Header(order=order, elements=elements, pictures=pictures, body=start)


class _Binary:
    """A binary body, read from its start."""

    def __init__(self, data: bytes, start: int, order: str) -> None:
        self.data, self.at, self.order = data, start, order

    def read(self, element: Element) -> Columns:
        """All rows at once where every list is as long as the first row's, else row by row."""
        lengths = self._first_lengths(element)
        if lengths is not None:
            fields = []
            for item, length in zip(element.properties, lengths, strict=True):
                if item.count is not None:
                    fields.append((f"{item.name} count", self.order + item.count))
                fields.append((item.name, self.order + item.type, () if item.count is None else (length,)))
            row = np.dtype(fields)
            if self.at + row.itemsize * element.size <= len(self.data):
                rows = np.frombuffer(self.data, row, element.size, self.at)
                counted = zip(element.properties, lengths, strict=True)
                if all((rows[f"{item.name} count"] == length).all() for item, length in counted if item.count):
                    self.at += row.itemsize * element.size
                    return {
                        item.name: rows[item.name]
                        if item.count is None
                        else Lists(
                            sizes=rows[f"{item.name} count"].astype(np.int64), values=rows[item.name].reshape(-1)
                        )
                        for item in element.properties
                    }
        return self._row_by_row(element)

    def _first_lengths(self, element: Element) -> list[int] | None:
        """Of the first row, the length of each list, and 1 of each number; None where there is no row."""
        if not element.size:
            return None
        at, lengths = self.at, []
        for item in element.properties:
            length = 1
            if item.count is not None:
                count = np.dtype(self.order + item.count)
                if at + count.itemsize > len(self.data):
                    return None
                length = int(np.frombuffer(self.data, count, 1, at)[0])
                at += count.itemsize
            if length < 0:
                return None
            lengths.append(length)
            at += np.dtype(item.type).itemsize * length
        return lengths

    def _row_by_row(self, element: Element) -> Columns:
        columns: dict[str, list[np.ndarray]] = {item.name: [] for item in element.properties}
        types = [(item, np.dtype(self.order + item.type)) for item in element.properties]
        counts = [None if item.count is None else np.dtype(self.order + item.count) for item in element.properties]
        data, at = self.data, self.at
        for row in range(element.size):
            for (item, kind), count in zip(types, counts, strict=True):
                length = 1
                if count is not None:
                    if at + count.itemsize > len(data):
                        raise ValueError(f"it ends in row {row + 1:,} of {element.size:,} of element {element.name}")
                    length = int.from_bytes(
                        data[at : at + count.itemsize],
                        "big" if self.order == ">" else "little",
                        signed=count.kind == "i",
                    )
                    at += count.itemsize
                if length < 0 or at + kind.itemsize * length > len(data):
                    raise ValueError(f"it ends in row {row + 1:,} of {element.size:,} of element {element.name}")
                columns[item.name].append(np.frombuffer(data, kind, length, at))
                at += kind.itemsize * length
        self.at = at
        return {item.name: _joined(columns[item.name], item) for item in element.properties}

    def finish(self) -> None:
        rest = self.data[self.at :].strip(b"\r\n\t \0")
        if rest:
            raise ValueError(f"{len(rest):,} bytes are left after its last element")


def _joined(rows: Sequence[np.ndarray], item: Property) -> "np.ndarray | Lists":
    values = np.concatenate(rows) if rows else np.zeros(0, dtype=item.type)
    return values if item.count is None else Lists(sizes=np.array([len(row) for row in rows]), values=values)


class _Text:
    """A body of numbers in text."""

    def __init__(self, data: bytes) -> None:
        self.numbers = parse_numbers(data, np.float64, "its body")
        self.at = 0

    def read(self, element: Element) -> Columns:
        numbers, names = self.numbers[self.at :], [item.name for item in element.properties]
        if not any(item.count for item in element.properties):
            width = len(names)
            table = numbers[: width * element.size]
            if len(table) < width * element.size:
                raise ValueError(f"it ends in element {element.name}")
            self.at += len(table)
            return dict(zip(names, table.reshape(-1, width).T, strict=True))
        if len(names) == 1 and element.size and len(numbers):
            length = int(numbers[0]) if not numbers[0] % 1 else -1
            table = numbers[: (length + 1) * element.size].reshape(-1) if length >= 0 else numbers[:0]
            if length >= 0 and len(table) == (length + 1) * element.size:
                rows = table.reshape(element.size, length + 1)
                if (rows[:, 0] == length).all():
                    self.at += len(table)
                    return {names[0]: Lists(sizes=rows[:, 0].astype(np.int64), values=rows[:, 1:].reshape(-1))}
        return self._row_by_row(element)

    def _row_by_row(self, element: Element) -> Columns:
        columns: dict[str, list[np.ndarray]] = {item.name: [] for item in element.properties}
        numbers, at = self.numbers, self.at
        for row in range(element.size):
            for item in element.properties:
                length = 1
                if item.count is not None:
                    if at >= len(numbers) or not numbers[at] >= 0 or numbers[at] % 1:
                        raise ValueError(f"row {row + 1:,} of element {element.name} has no length of its list")
                    length, at = int(numbers[at]), at + 1
                if at + length > len(numbers):
                    raise ValueError(f"it ends in row {row + 1:,} of {element.size:,} of element {element.name}")
                columns[item.name].append(numbers[at : at + length])
                at += length
        self.at = at
        return {item.name: _joined(columns[item.name], item) for item in element.properties}

    def finish(self) -> None:
        if self.at < len(self.numbers):
            raise ValueError(f"{len(self.numbers) - self.at:,} numbers are left after its last element")
