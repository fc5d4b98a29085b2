"""What an import does not load, in a process of its own."""

import subprocess
import sys


def missing(modules: str, unwanted: str) -> None:
    code = f"import sys, {modules}; sys.exit(bool({{*sys.modules}} & {{*'{unwanted}'.split()}}))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_records_and_reports_need_no_torch() -> None:
    modules = "hf_clcl.metrics.ranks, hf_clcl.record.run_record, hf_clcl.reports.cards, hf_clcl.reports.comparison"
    missing(modules, "torch transformers")


def test_pyplot_is_not_used() -> None:
    missing("hf_clcl.reports.figures", "matplotlib.pyplot")
