"""`python -m hf_clcl.compare RUN ...`; the same as `hf-clcl compare RUN ...`."""

from .cli.compare import main

if __name__ == "__main__":
    raise SystemExit(main())
