"""List the recipes of the package, or copy one: `hf-clcl recipes [--copy NAME DIR | --path NAME]`."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from ..config.recipe_files import RECIPES, packaged_recipe, recipe_names
from ..config.values import nearest
from ..config.yaml_files import load_yaml
from ..utils.errors import RecipeError, UserError, printable

GROUPS = {
    "": "Recipes: hf-clcl train NAME",
    "streams": "Streams that recipes include",
    "accelerate": "Devices: accelerate launch --config_file FILE",
}
EPILOG = """\
`hf-clcl train mtil` uses the recipe mtil of the package, unless you have a file with that name.
`--copy mtil .` writes mtil.yaml, streams/mtil.yaml and streams/reference.yaml; no file is overwritten.
Exit code: 0 done, 1 a file exists or cannot be written, 2 there is no recipe of this name.
"""


def main(argv: list[str] | None = None, prog: str = "hf-clcl recipes") -> int:
    """List the recipes of the package, or copy one; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog, description="List the recipes of the package, or copy one with everything that it includes.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--copy", nargs=2, metavar=("NAME", "DIR"), help="copy a recipe and what it includes to DIR")
    action.add_argument("--path", metavar="NAME", help="print the path of a recipe in the package")
    options = parser.parse_args(argv)
    try:
        if options.copy:
            lines = [str(path) for path in copy_recipe(options.copy[0], Path(options.copy[1]))]
        else:
            lines = [str(_file_of(options.path))] if options.path else list_recipes()
    except UserError as error:
        sys.stderr.write(f"error: {printable(str(error))}\n")
        return error.exit_code
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def list_recipes() -> list[str]:
    """Lines with the name of each recipe and the first sentence of its header."""
    names = recipe_names()
    width = max(map(len, names))
    lines: list[str] = []
    for folder, heading in GROUPS.items():
        within = [name for name in names if name.rpartition("/")[0] == folder]
        lines += ["", heading, ""]
        lines += [f"  {name:<{width}}  {first_sentence(RECIPES / f'{name}.yaml')}" for name in within]
    return lines[1:]


def first_sentence(path: Path) -> str:
    """The first sentence of the comment at the top of a file."""
    header = re.match(r"(?:#.*\n)+", path.read_text(encoding="utf-8"))
    text = " ".join(header[0].replace("#", " ").split()) if header else ""
    return re.split(r"(?<=[.?]) |: *accelerate launch", text, maxsplit=1)[0]


def copy_recipe(name: str, folder: Path) -> list[Path]:
    """Copy a recipe of the package and all files that it includes.

    Args:
        name (`str`): Its name, such as `mtil`.
        folder (`Path`): The target folder. Files keep their paths within `recipes/`.

    Returns:
        `list[Path]`: The files, the recipe first. A file with the same content is not written again.

    Raises:
        UserError: If there is no such recipe, or if a file with other content exists; then nothing is written.
    """
    files = {folder / path.relative_to(RECIPES): path.read_bytes() for path in with_includes(_file_of(name))}
    try:
        different = [str(path) for path, content in files.items() if path.exists() and path.read_bytes() != content]
        if different:
            raise UserError(f"{', '.join(different)}: exists and differs; nothing was written; choose another folder")
        for path, content in files.items():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    file.write(content)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}; choose another folder") from None
    return list(files)


def with_includes(path: Path) -> list[Path]:
    """A recipe of the package and the files that it includes, directly or through another."""
    values = load_yaml(path.read_text(encoding="utf-8"))
    return [path, *(with_includes(path.parent / values["include"]) if "include" in values else [])]


def _file_of(name: str) -> Path:
    path = packaged_recipe(name)
    if path is None:
        near = nearest(name, recipe_names())
        raise RecipeError(f"no recipe {name!r}{near} (`hf-clcl recipes` lists them)", "the command line")
    return path


if __name__ == "__main__":
    sys.exit(main())
