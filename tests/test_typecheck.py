"""Annotations are checked under pytest: of arguments, results, shapes and the fields of dataclasses."""

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintParamViolation
from jaxtyping import TypeCheckError
from typecheck import check

from kyvo.metrics.images import psnr
from kyvo.pipelines.placement import mask_boxes
from kyvo.scene.fields import Axis


def test_what_does_not_fit_its_annotation_is_told():
    # Of functions that no server's thread calls meanwhile: a function's first calls alone are checked.
    mask = np.ones((4, 4), dtype=bool)
    assert mask_boxes(mask[None]).tolist() == [[0, 0, 4, 4]]
    for _ in range(2):  # the first call is where the check is written
        with pytest.raises(TypeCheckError, match="masks"):
            mask_boxes(mask)
    with pytest.raises(TypeCheckError, match="psnr"):
        psnr("no picture", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(BeartypeCallHintParamViolation, match="unit"):
        Axis(name="x", unit=3, values=(0.0, 1.0))


def test_an_int_does_for_a_float_and_a_wrong_result_is_told():
    @check
    def half(value: float) -> int:
        return value / 2 if value % 2 else value // 2

    assert half(4) == 2
    with pytest.raises(Exception, match="half"):
        half(3)


def test_a_name_that_only_type_checkers_import_fits_anything():
    @check
    def repeated(what: "Imported", times: "int") -> list:  # noqa: F821
        return [what] * times

    assert repeated("a", times=2) == ["a", "a"]
    with pytest.raises(BeartypeCallHintParamViolation, match="times"):
        repeated("a", times="2")


def test_of_a_function_within_a_function_the_first_is_checked():
    def made():
        @check
        def half(value: float) -> float:
            return value

        return half

    first, second = made(), made()
    with pytest.raises(BeartypeCallHintParamViolation, match="value"):
        first("a")
    assert second("a") == "a"
