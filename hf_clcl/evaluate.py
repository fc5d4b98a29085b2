"""`python -m hf_clcl.evaluate RECIPE --checkpoint X`; the same as `hf-clcl evaluate`."""

from .cli.evaluate import main

if __name__ == "__main__":
    raise SystemExit(main())
