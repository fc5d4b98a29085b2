"""What a run ran on."""

from __future__ import annotations

import subprocess

from hf_clcl.utils import environment


def test_the_commit_of_a_clone_and_of_nothing_else(tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=me", "-c", "user.email=me@here"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    found = environment.commit(tmp_path)
    assert len(found) == 12 and head.startswith(found)
    (tmp_path / "new").touch()
    subprocess.run([*git, "add", "new"], check=True)
    assert environment.commit(tmp_path) == found + "+"
    (tmp_path / "below").mkdir()
    assert environment.commit(tmp_path / "below") is None
    assert {"python", "torch", "transformers"} <= environment.versions().keys()
