"""The app on a repository: states by revision, the same numbers as from the folder that was pushed."""

from __future__ import annotations

import numpy as np
from PIL import Image

from hf_clcl import Task, run_stream
from hf_clcl.app.runs import open_runs
from hf_clcl.app.workbench import Workbench
from hf_clcl.data.world import render_domain


def test_a_repository_is_shown_like_its_folder(hub, tmp_path):
    tasks = [
        Task(name, train=render_domain(name, "train", 8), test=render_domain(name, "test", 8))
        for name in ("shapes", "digits")
    ]
    run_stream(
        "builtin:tiny-clip", tasks, "finetune", output_dir=str(tmp_path / "run"), max_steps=1,
        per_device_train_batch_size=8, learning_rate=1e-3, disable_tqdm=True, push_to_hub=True, hub_model_id="me/app",
    )  # fmt: skip
    image = Image.new("RGB", (40, 30), (200, 30, 40))
    probabilities = []
    for place in (str(tmp_path / "run"), "me/app"):
        bench = Workbench(open_runs([place]))
        (run,) = bench.runs
        shown = bench.compare(run.checkpoints(), image, bench.labels(run, "my own", "circle\nstar\ncross"), "star")
        assert [state.label for state in shown.checkpoints] == ["0 zero-shot", "1 shapes", "2 digits"]
        probabilities.append(shown.probabilities)
    np.testing.assert_allclose(*probabilities, atol=1e-6)
    assert not np.allclose(probabilities[0][0], probabilities[0][2], atol=1e-4)
