"""Makes images.h5: image files, and what Pillow makes of them.

Regenerate with any Python that has Pillow, numpy and h5py:

    python tests/golden/make_images_golden.py [--output images.h5]

images.h5:

    files/NAME            u8: the bytes of an image file
    decoded/NAME          u8 (H, W, C): ImageOps.exif_transpose, and RGB or L
    resized/FILTER/HxW    u8 (H, W, 3): "photo.png", whole, by Image.resize
    cropped/HxW           u8 (H, W, 3): "photo.jpg", its centre, by BICUBIC
"""

import argparse
import io
import pathlib

import h5py
import numpy as np
from PIL import Image, ImageOps

FILTERS = {"box": Image.BOX, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC,
           "lanczos": Image.LANCZOS}
ORIENTATION = 0x0112


def photo(height, width):
    """Edges, gradients and noise, so that filters overshoot and every bit counts."""
    rng = np.random.default_rng(2020)
    y, x = np.mgrid[0:height, 0:width]
    planes = [128 + 120 * np.sin(x / 5 + c) * np.cos(y / (7 + c)) for c in range(3)]
    image = np.stack(planes, -1) + rng.normal(0, 12, (height, width, 3))
    image[height // 3:height // 2, width // 4:width // 2] = (255, 0, 255)
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


def encoded(image, **options):
    stream = io.BytesIO()
    image.save(stream, **options)
    return stream.getvalue()


def exif(orientation):
    block = Image.Exif()
    block[ORIENTATION] = orientation
    return block.tobytes()


def make_files():
    rgb, small = photo(45, 61), photo(12, 20)
    grey = small.convert("L")
    rgba = small.convert("RGBA")
    rgba.putalpha(Image.fromarray(np.arange(240, dtype=np.uint8).reshape(12, 20)))
    opaque = small.convert("RGBA")
    files = {
        "photo.png": encoded(rgb, format="png"),
        "photo.jpg": encoded(rgb, format="jpeg", quality=90),
        "progressive.jpg": encoded(rgb, format="jpeg", quality=90, progressive=True),
        "full_chroma.jpg": encoded(rgb, format="jpeg", quality=90, subsampling=0),
        "grey.jpg": encoded(grey, format="jpeg"),
        "cmyk.jpg": encoded(small.convert("CMYK"), format="jpeg"),
        "grey.png": encoded(grey, format="png"),
        "grey_alpha.png": encoded(rgba.convert("LA"), format="png"),
        "bilevel.png": encoded(grey.convert("1"), format="png"),
        "deep.png": encoded(Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), format="png"),
        "palette.png": encoded(small.quantize(16), format="png"),
        "rgba.png": encoded(rgba, format="png"),
        "opaque.png": encoded(opaque, format="png"),
        "oriented_6.png": encoded(small, format="png", exif=exif(6)),
    }
    for orientation in range(1, 9):
        files[f"oriented_{orientation}.jpg"] = encoded(small, format="jpeg", subsampling=0,
                                                       exif=exif(orientation))
    return files


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default=pathlib.Path(__file__).parent / "images.h5")
    files = make_files()
    images = {name: Image.open(io.BytesIO(data)) for name, data in files.items()}
    with h5py.File(parser.parse_args().output, "w") as out:
        for name, data in files.items():
            out[f"files/{name}"] = np.frombuffer(data, np.uint8)
            if name in ("cmyk.jpg", "deep.png"):
                continue
            image = ImageOps.exif_transpose(images[name])
            image = image.convert("L" if image.mode in ("L", "1") else "RGB")
            out[f"decoded/{name}"] = np.atleast_3d(np.asarray(image))
        for name, filter in FILTERS.items():
            for height, width in ((20, 31), (64, 64), (45, 16), (7, 61)):
                image = images["photo.png"].resize((width, height), filter)
                out[f"resized/{name}/{height}x{width}"] = np.asarray(image)
        for (height, width), box in {(16, 16): (8, 0, 53, 45), (8, 20): (0, 10, 61, 34)}.items():
            image = images["photo.jpg"].crop(box).resize((width, height), Image.BICUBIC)
            out[f"cropped/{height}x{width}"] = np.asarray(image)


if __name__ == "__main__":
    main()
