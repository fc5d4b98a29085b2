"""The methods against losses and weights of the reference implementation, through the code that trains."""

from __future__ import annotations

import importlib.util
import json

import pytest

from helpers import ROOT

PARITY = ROOT / "benchmarks" / "parity.py"
CASES = [
    "finetune", "l2", "weight_ensemble", "wise_ft", "lwf", "lwf_vr", "zscl", "zscl_star", "zscl_image_only",
    "zscl_text_only", "zscl_half_weights_T3", "zscl_feature_mse", "zscl_relational", "zscl_wise_teacher", "we_wise",
]  # fmt: skip


@pytest.fixture(scope="module")
def parity():
    spec = importlib.util.spec_from_file_location("parity", PARITY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(shared):
    if not (shared / "parity" / "expected.json").exists():
        pytest.skip(f"no parity data in {shared}")
    return shared / "parity"


def test_all_cases_are_listed(folder):
    assert sorted(json.loads((folder / "expected.json").read_text())["cases"]) == sorted(CASES)


@pytest.mark.parametrize("case", CASES)
def test_the_reference_is_reproduced(parity, folder, case):
    result = parity.run_case(folder, json.loads((folder / "expected.json").read_text()), case)
    assert result["max_loss_difference"] < 1e-4 and result["max_weight_difference"] < 1e-4


def test_what_cannot_be_compared_is_said(parity, tmp_path, capsys):
    assert parity.main([str(tmp_path)]) == 2
    assert "contains no parity data" in capsys.readouterr().err
    assert parity.method_for("new", {"unheard_of": True}, {"averaging_every": 5, "temperature": 2.0}) is None
