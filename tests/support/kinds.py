"""One image file of every kind that is accepted: formats, modes, depths, transparency, animations and metadata."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.support.images import picture

HEIGHT, WIDTH = 30, 44


def every_kind() -> Iterator[tuple[str, bytes]]:
    """A name and the content of each file."""
    colour = Image.fromarray(picture(3, HEIGHT, WIDTH))
    grey, alpha = colour.convert("L"), Image.fromarray(picture(4, HEIGHT, WIDTH)[..., 0])
    clear = colour.copy()
    clear.putalpha(alpha)
    for mode in ("1", "L", "P", "RGB"):
        for kind in ("PNG", "BMP", "DIB", "GIF", "WEBP"):
            yield f"{kind} {mode}", encoded(colour.convert(mode), kind)
    yield "PNG LA", encoded(Image.merge("LA", (grey, alpha)))
    for kind in ("PNG", "WEBP", "BMP", "GIF"):
        yield f"{kind} RGBA", encoded(clear, kind)
    yield "PNG P with one transparent colour", encoded(colour.quantize(16), transparency=3)
    yield "PNG P with transparent colours", encoded(colour.quantize(16), transparency=bytes(range(0, 256, 16)))
    yield "PNG L with a transparent level", encoded(grey, transparency=int(np.asarray(grey)[2, 3]))
    yield "PNG RGB with a transparent colour", encoded(colour, transparency=colour.getpixel((3, 2)))
    yield "PNG 1 with a transparent level", encoded(colour.convert("1"), transparency=0)
    yield "GIF with a transparent colour", encoded(colour.quantize(16), "GIF", transparency=5)
    yield from sixteen_bits()
    yield from jpegs(colour)
    frames = [Image.fromarray(picture(seed, HEIGHT, WIDTH)) for seed in (7, 8)]
    for kind in ("GIF", "WEBP", "PNG"):
        yield f"animated {kind}", encoded(colour, kind, save_all=True, append_images=frames)
    yield "PNG with a gamma and a profile", encoded(colour, gamma=0.3, icc_profile=b"profile")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for kind in ("JPEG", "PNG", "WEBP"):
            yield f"{kind} turned {orientation}", encoded(colour, kind, exif=exif)
        large = Image.fromarray(np.kron(picture(9, 11, 17), np.ones((40, 40, 1), np.uint8)))
        yield f"large JPEG turned {orientation}", encoded(large, "JPEG", exif=exif)


def jpegs(colour: Image.Image) -> Iterator[tuple[str, bytes]]:
    """JPEG files of every mode, small ones and large ones, which are decoded at a fraction of their size."""
    large = Image.fromarray(np.kron(picture(9, 30, 44), np.ones((20, 20, 1), np.uint8)))
    for mode in ("L", "RGB", "CMYK", "YCbCr"):
        for name, image in (("", colour), ("large ", large)):
            yield f"{name}JPEG {mode}", encoded(image.convert(mode), "JPEG")
            yield f"{name}progressive JPEG {mode}", encoded(image.convert(mode), "JPEG", progressive=True)
    yield "MPO", encoded(large, "MPO", save_all=True, append_images=[colour])
    yield "large JPEG with a profile", encoded(large, "JPEG", icc_profile=b"profile")


def sixteen_bits() -> Iterator[tuple[str, bytes]]:
    """PNG files of 16 bits for each sample: grey, grey with a transparent level, with alpha, and colour."""
    values = np.random.default_rng(5).integers(0, 2**16, (HEIGHT, WIDTH, 4)).astype(">u2")
    yield "16-bit PNG", png(0, values[..., :1])
    yield "16-bit PNG with a transparent level", png(0, values[..., :1], values[4, 5, 0].tobytes())
    yield "16-bit PNG, dark", png(0, values[..., :1] // 200)
    yield "16-bit PNG LA", png(4, values[..., :2])
    yield "16-bit PNG RGB", png(2, values[..., :3])
    yield "16-bit PNG RGBA", png(6, values)


def png(colour_type: int, values: np.ndarray, transparency: bytes = b"") -> bytes:
    """A PNG file of 16 bits, which Pillow writes for grey alone."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))]
    chunks += [(b"tRNS", transparency)] if transparency else []
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The content of an image file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
