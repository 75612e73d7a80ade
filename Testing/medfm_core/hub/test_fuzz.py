"""A few thousand of the random files of `fuzz_safetensors`."""

from __future__ import annotations

from fuzz_safetensors import made, run


def test_every_file_is_taken_or_refused(tmp_path):
    found = run(4000, 1, tmp_path)
    assert found["taken"] > 400
    assert found["refused"] > 1500


def test_files_are_functions_of_seed_and_number():
    assert made(3, 5) == made(3, 5) != made(3, 6)
