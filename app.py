"""The page as a Space runs it, and as it is run by hand: `python app.py [RUN_OR_REPO ...]`."""

import sys

from hf_clcl.app.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
