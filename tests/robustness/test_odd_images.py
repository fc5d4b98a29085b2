"""Images that are odd are read, with the right colours in the right places; those that are broken are told."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from hf_clcl.data.broken import drop_unreadable
from hf_clcl.data.columns import values
from hf_clcl.data.images.frames import Frames
from hf_clcl.data.images.pictures import LONGEST, trimmed
from hf_clcl.data.sources.local import load_local
from hf_clcl.data.videos.reading import read_frames
from hf_clcl.utils.errors import DataError

PROCESSOR = CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
RED, BLUE = (200, 30, 40), (20, 40, 210)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def halves(mode: str, left, right, size: tuple[int, int] = (32, 32)) -> Image.Image:
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def sixteen_bits(left: int, right: int, dtype: str = "uint16") -> Image.Image:
    return Image.fromarray(np.repeat([[left] * 16 + [right] * 16], 32, 0).astype(dtype))


def sixteen_bits_of_colour(colour: tuple[int, int, int]) -> bytes:
    """A PNG of 16 bits a channel, which Pillow cannot write."""
    row = b"\0" + struct.pack(">3H", *(257 * value for value in colour)) * 32
    return png(32, 32, zlib.compress(row * 32), depth=16)


def png(width: int, height: int, data: bytes, depth: int = 8) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def moving(kind: str) -> bytes:
    first, second = (Image.new("RGB", (32, 32), colour) for colour in (RED, BLUE))
    return encoded(
        first, kind, save_all=True, append_images=[second], **({"lossless": True} if kind == "WEBP" else {})
    )


def turned(orientation: int) -> bytes:
    """Red left and blue right once it is turned as its EXIF says."""
    undo = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[274] = orientation
    return encoded(halves("RGB", RED, BLUE).transpose(undo[orientation]), "PNG", exif=exif)


def grey(value: int) -> tuple[int, int, int]:
    return (value,) * 3


# The file, and the colours of its left and right halves.
ODD = {
    "animated GIF, its first frame": (lambda: moving("GIF"), RED, RED),
    "animated WebP, its first frame": (lambda: moving("WEBP"), RED, RED),
    "animated PNG, its first frame": (lambda: moving("PNG"), RED, RED),
    "16 bits, PNG": (lambda: encoded(sixteen_bits(257 * 50, 257 * 180), "PNG"), grey(50), grey(180)),
    "16 bits, dark": (lambda: encoded(sixteen_bits(0, 200), "PNG"), grey(0), grey(1)),
    "16 bits, TIFF": (lambda: encoded(sixteen_bits(257 * 50, 257 * 180), "TIFF"), grey(50), grey(180)),
    "16 bits, PGM": (lambda: encoded(sixteen_bits(257 * 50, 257 * 180), "PPM"), grey(50), grey(180)),
    "16 bits of colour": (lambda: sixteen_bits_of_colour(RED), RED, RED),
    "32 bits of 16": (lambda: encoded(sixteen_bits(257 * 50, 65535, "int32"), "TIFF"), grey(50), grey(255)),
    "32 bits of 8": (lambda: encoded(sixteen_bits(50, 180, "int32"), "TIFF"), grey(50), grey(180)),
    "32 bits of more": (lambda: encoded(sixteen_bits(-1000, 1_000_000, "int32"), "TIFF"), grey(0), grey(255)),
    "fractions": (lambda: encoded(sixteen_bits(0, 1, "float32"), "TIFF"), grey(0), grey(255)),
    "fractions of 8 bits": (lambda: encoded(sixteen_bits(50, 180, "float32"), "TIFF"), grey(50), grey(180)),
    "1 bit": (lambda: encoded(halves("1", 0, 1), "PNG"), grey(0), grey(255)),
    "grey": (lambda: encoded(halves("L", 60, 90), "PNG"), grey(60), grey(90)),
    "palette": (lambda: encoded(halves("RGB", RED, BLUE).quantize(4), "PNG"), RED, BLUE),
    "CMYK": (lambda: encoded(halves("CMYK", (0, 255, 255, 0), (255, 255, 0, 0)), "TIFF"), (255, 0, 0), (0, 0, 255)),
    "opaque": (lambda: encoded(halves("RGBA", (*RED, 255), (*BLUE, 255)), "PNG"), RED, BLUE),
    "EXIF, half a turn": (lambda: turned(3), RED, BLUE),
    "EXIF, a quarter right": (lambda: turned(6), RED, BLUE),
    "EXIF, a quarter left": (lambda: turned(8), RED, BLUE),
    "1 x 1": (lambda: encoded(Image.new("RGB", (1, 1), RED), "PNG"), RED, RED),
    "1 x 5,000": (lambda: encoded(Image.new("RGB", (1, 5000), RED), "PNG"), RED, RED),
    "5,000 x 1": (lambda: encoded(Image.new("RGB", (5000, 1), BLUE), "PNG"), BLUE, BLUE),
    "a JPEG called PNG": (lambda: encoded(Image.new("RGB", (32, 32), RED), "JPEG", quality=95), RED, RED),
}


def frames_of(folder: Path) -> Frames:
    return Frames(load_local(folder, "train", "task x"), "image", PROCESSOR, name="task x")


def write(folder: Path, *files: bytes) -> Path:
    """A folder of one class."""
    (folder / "thing").mkdir(parents=True)
    for index, content in enumerate(files):
        (folder / "thing" / f"{index}.png").write_bytes(content)
    return folder


@pytest.mark.parametrize("case", ODD)
def test_odd_images_are_read_as_they_are(case, tmp_path):
    make, left, right = ODD[case]
    frames = frames_of(write(tmp_path / "odd", make(), make()))
    for image in (frames.evaluation_batch([0])[0], frames.training_batch([0], [(1,)])[0]):
        pixels = image.permute(1, 2, 0).numpy().astype(int)
        assert pixels.shape == (16, 16, 3)
        for colour, column in ((left, 2), (right, 13)):
            if colour is not None:
                assert np.abs(pixels[:, column].mean(0) - colour).max() <= 4, (case, pixels[:, column].mean(0))


def test_frames_of_a_clip_are_turned_and_not_clipped_too(tmp_path):
    write(tmp_path / "clip", turned(6), encoded(sixteen_bits(257 * 50, 257 * 180), "PNG"))
    frames = read_frames(tmp_path / "clip" / "thing", 2, "task x")
    assert [(f.getpixel((2, 9)), f.getpixel((29, 9))) for f in frames] == [(RED, BLUE), (grey(50), grey(180))]


def test_the_middle_of_a_long_image_is_what_the_processor_sees():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 18 * LONGEST, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    assert trimmed(image).size == (9 * LONGEST, 9)
    whole, middle = (
        PROCESSOR(part, do_rescale=False, do_normalize=False)["pixel_values"][0].astype(int)
        for part in (image, trimmed(image))
    )
    assert np.array_equal(whole, middle)
    assert trimmed(image.crop((0, 0, 9 * LONGEST, 9))).size == (9 * LONGEST, 9)


GOOD = encoded(halves("RGB", RED, BLUE, (64, 64)), "PNG")
NOISE = encoded(Image.effect_noise((64, 64), 60).convert("RGB"), "JPEG")
BROKEN = {
    "zero bytes": (b"", "it is empty, or not in an image format"),
    "text": (b"not an image", "it is empty, or not in an image format"),
    "page": (b"<svg onload=alert(1)></svg>", "it is empty, or not in an image format"),
    "head alone": (GOOD[:8], "it is empty, or not in an image format"),
    "cut PNG": (GOOD[: len(GOOD) // 2], "truncated"),
    "cut JPEG": (NOISE[: len(NOISE) // 2], "truncated"),
    "flipped bits": (GOOD[:60] + bytes(255 - byte for byte in GOOD[60:]), ""),
    "cut GIF": (moving("GIF")[:30], ""),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", ""),
    "20,000 x 20,000": (png(20_000, 20_000, zlib.compress(b"")), "400000000 pixels.*limit of 178956970 pixels"),
    "no pixels": (png(0, 0, zlib.compress(b"")), ""),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_images_are_told_with_file_and_remedy(case, tmp_path):
    content, reason = BROKEN[case]
    frames = frames_of(write(tmp_path / "broken", content, content))
    message = (
        rf"task x: the image in row 0 \(column 'image', .*/thing/\d.png\) cannot be read: .*{reason}.*skip_broken"
    )
    with pytest.raises(DataError, match=message) as caught:
        frames.evaluation_batch([0])
    assert "\n" not in str(caught.value) and "object at 0x" not in str(caught.value)
    with pytest.raises(DataError, match="cannot be read"):
        frames.training_batch([0], [(1,)])


def test_all_of_them_are_left_out_where_the_recipe_allows_it(tmp_path, caplog):
    folder = write(tmp_path / "mixed", GOOD, *(content for content, _ in BROKEN.values()), NOISE)
    rows = load_local(folder, "train", "task x")
    kept, broken = drop_unreadable(rows, "image", "task x")
    assert broken == len(BROKEN) and [Path(cell["path"]).name for cell in values(kept, "image").to_pylist()] == [
        "0.png", f"{len(BROKEN) + 1}.png"
    ]  # fmt: skip
    assert f"{broken} of {len(rows)} images cannot be read and are left out" in caplog.text
