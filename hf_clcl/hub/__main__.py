"""`python -m hf_clcl.hub`: the same as `hf-clcl hub`."""

from runpy import run_module

if __name__ == "__main__":
    run_module(
        "hf_clcl.cli.hub", run_name="__main__"
    )  # by name, without an import: the commands belong to a higher layer
