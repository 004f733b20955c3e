import json
import os
import time
from pathlib import Path

import loading
import pytest
import torch

from kyvo.testing import tiny_kyvo


@pytest.fixture(scope="module")
def program():
    with loading.program("eval/benchmark_tasks.py") as module:
        yield module


@pytest.mark.slow
def test_each_task_is_timed_in_rounds_and_memory_is_the_commands_own(program, tmp_path, capsys):
    tiny = tiny_kyvo()
    tiny.model.save_pretrained(tmp_path)
    tiny.processor.save(tmp_path)
    threads = torch.get_num_threads()
    small = [
        "--model",
        str(tmp_path),
        "--pictures",
        "2",
        "--repeats",
        "2",
        "--matmul",
        "64",
        "--cores",
        "1",
        "--busy",
        "1",
    ]
    results = program.main([*small, "--json"])
    assert json.loads(capsys.readouterr().out) == results
    assert torch.get_num_threads() == threads
    for name, asked in program.ASKED.items():
        times = results["seconds"][name]
        assert 0 < times["best"] <= times["median"] and times["asked"] == asked
    assert tuple(results["busy"]["1"]) == program.ALONE
    for found in results["busy"]["1"].values():
        assert found["times"] > 0 and found["asked"] == 3  # (1 + 1) / 1 times as long is fair; half as much again
    assert 0.1 < results["peak_gigabytes"]["recognize"] < 3
    assert results["matmul_gflops_per_second"] > 0
    printed = program.lines(results)
    assert printed[0].startswith("recognize_together   best ") and printed[0].endswith("asked 4 s")
    assert printed[len(program.ASKED)].startswith("recognize_one beside 1") and printed[-3].endswith("asked 3")
    assert printed[-2].endswith("asked 1.2 GB")


def test_counts_below_one_are_wrong_usage(program, capsys):
    with pytest.raises(SystemExit, match="2"):
        program.main(["--cores", "0"])
    assert "at least 1" in capsys.readouterr().err


def test_busy_processes_run_only_beside_a_task(program):
    def used(process) -> float:  # seconds of processor time
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    with program.busy_processes(1) as (process,):
        program.run_under_load([process], lambda: time.sleep(0.5))
        stopped = used(process)
        time.sleep(0.2)
        assert 0 < stopped == used(process)
    assert process.poll() is not None
