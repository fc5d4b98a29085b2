"""`python -m hf_clcl.train RECIPE`, for `accelerate launch` too; the same as `hf-clcl train RECIPE`."""

from .cli.train import main

if __name__ == "__main__":
    raise SystemExit(main())
