"""`Field` and `Axis`: one attribute of an object with its marker, words and number bins, and both as plain data."""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kyvo.errors import SceneError


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One number of a field, on a list of allowed values: real value <-> bin.

    A value comes back as the nearest allowed one, so within half a bin. With a `period` (angles) the
    distance is taken around the circle, and every value is in range.
    """

    name: str  # for messages: "x"
    unit: str  # "clevr", "m" or "rad"
    values: tuple[float, ...]  # ascending
    period: float | None = None

    def __post_init__(self) -> None:
        if not self.values or any(a >= b for a, b in zip(self.values, self.values[1:], strict=False)):
            raise SceneError(f"axis {self.name}: its values must be a rising list with at least one entry.")

    def snap(self, value: float, *, clamp: bool = False) -> float:
        """The nearest allowed value. Raises SceneError more than half a bin outside, unless `clamp`."""
        if not math.isfinite(value):
            raise SceneError(f"{self.name} is {value}; a finite number is needed.")
        if self.period is not None:
            turns = np.abs((np.asarray(self.values) - value + self.period / 2) % self.period - self.period / 2)
            return self.values[int(turns.argmin())]
        after = bisect_left(self.values, value)
        near = self.values[max(after - 1, 0) : after + 1]
        nearest = min(near, key=lambda allowed: abs(allowed - value))
        if not clamp and abs(nearest - value) > self._half_bin(nearest) + 1e-9:
            raise SceneError(
                f"{self.name} is {value:g} {self.unit}; its bins cover {self.values[0]:g} to {self.values[-1]:g} "
                f"{self.unit}. Rescale the scene, widen the schema's range and retrain, or pass --clamp."
            )
        return nearest

    def _half_bin(self, value: float) -> float:
        """Half the step at the edge nearest to `value`; values inside the range are always within it."""
        if len(self.values) == 1:
            return 0.0
        first = abs(value - self.values[0]) <= abs(value - self.values[-1])
        edge = (self.values[1] - self.values[0]) if first else (self.values[-1] - self.values[-2])
        inside = self.values[0] < value < self.values[-1]
        return math.inf if inside else edge / 2


def grid(low: float, high: float, step: float) -> tuple[float, ...]:
    """`low` to `high` inclusive, equally spaced. Raises SceneError when `step` does not divide the range."""
    if step <= 0 or high < low:
        raise SceneError(f"a grid needs low <= high and step > 0, but has {low:g} to {high:g} by {step:g}.")
    num_steps = round((high - low) / step)
    if abs(low + num_steps * step - high) > 1e-6 * max(1.0, abs(high)):
        raise SceneError(f"a step of {step:g} does not divide {low:g} to {high:g}; {num_steps} steps end elsewhere.")
    return tuple(round(low + index * step, 6) + 0.0 for index in range(num_steps + 1))


@dataclass(frozen=True, kw_only=True)
class Field:
    """One attribute in an object's token stream: a marker, then a word, some numbers, or shape codes.

    A field with `of` belongs to the objects that have one of these words in the field before it, and may be missing
    there: a cube has a turn, where somebody knows it.
    """

    name: str  # an attribute of SceneObject, or a key of its `extra`
    marker: str  # "[SIZE]"
    words: tuple[str, ...] = ()
    axes: tuple[Axis, ...] = ()
    num_codes: int = 0
    of: tuple[str, ...] = ()  # words of the field before
    is_scalar: bool = False  # a number, and no list of one

    def __post_init__(self) -> None:
        if sum([bool(self.words), bool(self.axes), bool(self.num_codes)]) != 1:
            raise SceneError(f"field {self.name}: give exactly one of words, axes and num_codes.")
        if (self.is_scalar or self.of) and not (self.axes and (len(self.axes) == 1 or not self.is_scalar)):
            raise SceneError(f"field {self.name}: `of` is for fields with axes, `is_scalar` for those with one axis.")

    def numbers(self, value: Any) -> tuple[Any, ...]:
        """A value of numbers or codes as a tuple."""
        return (value,) if self.is_scalar else tuple(value)

    def snap(self, value: Any, *, clamp: bool = False) -> Any:
        """The nearest value that has tokens. Raises SceneError for a missing or unknown value."""
        if value is None:
            if self.of:
                return None
            raise SceneError(f"{self.name} is missing.")
        if self.words:
            if value not in self.words:
                raise SceneError(f"{self.name} is {value!r}; known are {', '.join(self.words)}.")
            return value
        count = self.num_codes or len(self.axes)
        try:
            numbers = tuple(float(number) for number in self.numbers(value))
        except (TypeError, ValueError) as error:
            needed = "a number" if self.is_scalar else f"a list of {count} numbers"
            raise SceneError(f"{self.name} is {value!r}; {needed} is needed.") from error
        if len(numbers) != count:
            raise SceneError(f"{self.name} has {len(numbers)} numbers; {count} are needed.")
        if self.num_codes:
            return tuple(int(code) for code in numbers)
        snapped = tuple(axis.snap(number, clamp=clamp) for axis, number in zip(self.axes, numbers, strict=True))
        return snapped[0] if self.is_scalar else snapped


def short_axis(axis: Mapping[str, Any]) -> dict[str, Any]:
    """The axis with `low`, `high` and `step` in place of values that are a grid."""
    values = axis["values"]
    if len(values) < 2:
        return dict(axis)
    low, high, step = values[0], values[-1], round(values[1] - values[0], 6)
    if abs(low + (len(values) - 1) * step - high) > 1e-6 or grid(low, high, step) != tuple(values):
        return dict(axis)
    others = {key: value for key, value in axis.items() if key != "values"}
    return {**others, "low": low, "high": high, "step": step}


def field_from_dict(row: Mapping[str, Any]) -> Field:
    return Field(
        name=row["name"],
        marker=row["marker"],
        words=tuple(row.get("words", ())),
        axes=tuple(axis_from_dict(axis) for axis in row.get("axes", ())),
        num_codes=row.get("num_codes", 0),
        of=tuple(row.get("of", ())),
        is_scalar=row.get("is_scalar", False),
    )


def axis_to_dict(axis: Axis) -> dict[str, Any]:
    period = {} if axis.period is None else {"period": axis.period}
    return {"name": axis.name, "unit": axis.unit, "values": list(axis.values)} | period


def axis_from_dict(axis: Mapping[str, Any]) -> Axis:
    values = axis["values"] if "values" in axis else grid(axis["low"], axis["high"], axis["step"])
    return Axis(
        name=axis["name"],
        unit=axis.get("unit", "m"),
        values=tuple(float(value) for value in values),
        period=axis.get("period"),
    )
