"""What somebody on the other side may send: images of every kind, long lists, addresses and paths."""

from __future__ import annotations

import io
import json
import struct
import threading
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hf_clcl.app import images, labels
from hf_clcl.utils.errors import UserError

RED = (200, 30, 40)


def saved(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def bomb(path: Path, width: int = 60_000, height: int = 60_000) -> Path:
    """A PNG of a few bytes that says it has 3.6 thousand million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize(
    ("mode", "colour", "name", "expected"),
    [
        ("RGB", RED, "a.png", RED),
        ("L", 90, "a.png", (90, 90, 90)),
        ("1", 1, "a.png", (255, 255, 255)),
        ("CMYK", (0, 255, 255, 0), "a.jpg", (255, 0, 0)),
        ("I;16", 51400, "a.png", (200, 200, 200)),
        ("RGBA", (*RED, 0), "a.png", (255, 255, 255)),
        ("LA", (90, 255), "a.png", (90, 90, 90)),
        ("P", 3, "a.gif", None),
    ],
)
def test_images_of_every_mode_become_rgb(tmp_path: Path, mode: str, colour, name: str, expected):
    found = images.open_image(saved(Image.new(mode, (40, 30), colour), tmp_path / name))
    assert (found.mode, found.size) == ("RGB", (40, 30))
    if expected is not None:
        assert np.abs(np.asarray(found).reshape(-1, 3).mean(0) - expected).max() < 8


def test_sizes_animation_and_orientation(tmp_path: Path):
    assert images.open_image(saved(Image.new("RGB", (1, 1)), tmp_path / "dot.png")).size == (1, 1)
    assert max(images.open_image(saved(Image.new("RGB", (5000, 40)), tmp_path / "long.png")).size) == images.MAX_SIDE
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    moving = saved(frames[0], tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert images.open_image(moving).getpixel((4, 4)) == (255, 0, 0)
    exif = Image.Exif()
    exif[274] = 6
    turned = saved(Image.new("RGB", (40, 20)), tmp_path / "turned.jpg", exif=exif)
    assert images.open_image(turned).size == (20, 40)


@pytest.mark.parametrize(
    "content", [b"", b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\nnothing", b"GIF89a", b"%!PS-Adobe"]
)
def test_what_is_no_image_is_told(tmp_path: Path, content: bytes):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(UserError, match="image"):
        images.open_image(tmp_path / "x.png")


def test_cut_off_and_huge_images_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = saved(Image.effect_noise((300, 300), 60).convert("RGB"), tmp_path / "a.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged or truncated"):
        images.open_image(tmp_path / "half.jpg")
    with pytest.raises(UserError, match="pixels|too large"):
        images.open_image(bomb(tmp_path / "bomb.png"))
    monkeypatch.setattr(images, "MAX_BYTES", 100)
    with pytest.raises(UserError, match="MB"):
        images.open_image(tmp_path / "a.jpg")


def test_lists_of_labels(tmp_path: Path):
    assert labels.typed("cat, dog").names == ("cat", "dog")
    assert labels.typed("cat, indoors\ndog\n\n cat, indoors ").names == ("cat, indoors", "dog")
    assert labels.typed("a b\tc", "see {}!").prompts == (("see a b c!",),)
    assert len(labels.typed("\n".join(["same"] * 10_000)).names) == 1
    with pytest.raises(UserError, match="at most 1,000 labels, got 10,000"):
        labels.typed("\n".join(map(str, range(10_000))))
    with pytest.raises(UserError, match="at least one"):
        labels.typed(" , ,")
    with pytest.raises(UserError, match="characters"):
        labels.typed("x" * 500)
    with pytest.raises(UserError, match="exactly one"):
        labels.typed("cat", "{} and {}")


def test_names_never_turn_into_markup():
    from hf_clcl.app.runs import Run
    from hf_clcl.app.views import matrix, run
    from hf_clcl.record.run_record import RunRecord

    evil = "<img src=x onerror=alert(1)>${alert(1)}{{evil}}`"
    record = RunRecord(
        method=evil, model=evil, tasks=[evil, "b"], zero_shot=[10.0, 20.0], accuracy=[[50.0, 10.0], [40.0, 60.0]],
        evaluation_only={evil + "2": {"zero_shot": 1.0, "accuracy": [2.0, None]}}, recipe={evil: evil}, device=evil,
        losses=[{"task": evil, "step": 1, "loss": 1.0, evil: 2.0}],
    )  # fmt: skip
    shown = Run(evil, record)
    for html in (matrix.matrix([shown]), matrix.matrix([shown], "best"), run.overview(shown), run.header([shown])):
        assert "&lt;img src=x" in html and "<img" not in html
        assert not {"${", "{{", "`"} & {html[i : i + n] for i in range(len(html)) for n in (1, 2)}


def test_a_spreadsheet_takes_no_name_for_a_formula():
    from hf_clcl.app.export import export
    from hf_clcl.app.runs import Run
    from hf_clcl.record.run_record import RunRecord

    record = RunRecord(method="=1+1", model="m", tasks=["a"], zero_shot=[1.0], accuracy=[[2.0]])
    assert ",'=1+1," in export([Run("r", record)], "csv").read_text()
    with pytest.raises(UserError, match="csv, png, json"):
        export([Run("r", record)], "../exe")


class TestTheServer:
    """What the page's server refuses, however it is asked."""

    def test_broken_images_get_an_answer(self, app_page, tmp_path: Path):
        from gradio_client import Client, handle_file

        client = Client(app_page.url, verbose=False, analytics_enabled=False)
        (tmp_path / "no.png").write_text("no image")
        for path, says in ((tmp_path / "no.png", "not a readable image"), (bomb(tmp_path / "bomb.png"), "pixels")):
            data, html = client.predict(handle_file(str(path)), "finetuned", "warm", "", "", "", api_name="/predict")
            assert says in data["error"] and 'role="alert"' in html

    def test_files_of_this_machine_are_not_given(self, app_page, app_run: Path):
        import httpx

        for path in ("/etc/passwd", app_run / "results.json", app_run / "task-01-warm" / "model.safetensors"):
            assert httpx.get(f"{app_page.url}gradio_api/file={path}").status_code in (403, 404)

    def test_neither_paths_nor_addresses_are_taken_for_images(self, app_page, app_run: Path):
        import httpx

        asked: list[str] = []

        class Listener(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(404)
                self.end_headers()

        server = HTTPServer(("127.0.0.1", 0), Listener)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        own = next((app_run.parent / "warm").rglob("*.png"))
        address = f"http://127.0.0.1:{server.server_port}/x.png"
        try:
            for image in ({"path": str(own)}, {"path": address}, {"path": address, "url": address},
                          {"path": "/etc/passwd"}, {"path": None, "url": address}):  # fmt: skip
                image |= {"meta": {"_type": "gradio.FileData"}}
                data = [image, "finetuned", "warm", "", "", ""]
                begun = httpx.post(f"{app_page.url}gradio_api/call/predict", json={"data": data}).json()
                answer = httpx.get(f"{app_page.url}gradio_api/call/predict/{begun['event_id']}", timeout=60).text
                assert "probability" not in answer and ("error" in answer)
        finally:
            server.shutdown()
        assert asked == []

    def test_uploads_are_limited(self, app_page):
        import httpx

        files = {"files": ("big.png", io.BytesIO(b"0" * (21 * 2**20)))}
        assert httpx.post(f"{app_page.url}gradio_api/upload", files=files, timeout=60).status_code == 413

    def test_the_page_names_no_other_machine(self, app_page):
        import httpx

        config = httpx.get(f"{app_page.url}config").json()
        assert config["analytics_enabled"] is False and "googleapis" not in json.dumps(config)
        css = httpx.get(f"{app_page.url}theme.css").text
        assert "http" not in css.replace("http://www.w3.org", "")
