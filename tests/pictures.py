"""Made-up pictures for the tests of the imaging room: smooth tissue; discs, rings and bars."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ehrsynth.imaging.folds import TrainFold
from ehrsynth.imaging.image_set import ImageSet


def tissue(n, size=64, *, seed=0, colour=True):
    """Smooth texture of one tone, as nobody's body: n x size x size (x 3)."""
    rng = np.random.default_rng(seed)
    shape = (n, size, size, 3) if colour else (n, size, size)
    noise = rng.normal(size=shape)
    width = size / 12
    sigma = (0, width, width, 0) if colour else (0, width, width)
    smooth = ndimage.gaussian_filter(noise, sigma)
    smooth /= smooth.std()
    base = np.array([170, 120, 110]) if colour else 120
    return np.clip(base + 18 * smooth + rng.normal(0, 2, shape), 0, 255).astype(np.uint8)


def captioned(picture, text, *, size=12, at=(2, 2), fill=(255, 255, 255)):
    """The picture with words burned in."""
    image = Image.fromarray(picture)
    colour = fill if picture.ndim == 3 else fill[0]
    ImageDraw.Draw(image).text(at, text, font=ImageFont.load_default(size=size), fill=colour)
    return np.asarray(image)


def shapes(counts, size=32, *, seed=0, channels=1, noise=14.0):
    """Discs, rings, bars: one shape a class, each of its own place, size and light; and their labels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    pixels, labels = [], []
    for label, count in enumerate(counts):
        for _ in range(count):
            cx, cy = rng.uniform(0.35, 0.65, 2)
            radius = rng.uniform(0.16, 0.28)
            distance = np.hypot(x - cx, y - cy)
            if label == 0:
                inside = distance < radius
            elif label == 1:
                inside = (distance < radius) & (distance > 0.55 * radius)
            else:
                inside = np.maximum(np.abs(x - cx), 2 * np.abs(y - cy)) < radius
            picture = rng.uniform(50, 90) + rng.uniform(70, 110) * ndimage.gaussian_filter(inside * 1.0, 0.7)
            picture = picture[..., None] * np.ones(channels) + rng.normal(0, noise, (size, size, channels))
            pixels.append(np.clip(picture, 0, 255).astype(np.uint8))
            labels.append(label)
    return np.stack(pixels), np.array(labels, dtype=np.int64)


def image_set(counts=(30, 12), size=32, *, seed=0, channels=1, each=1):
    """A set of such shapes, `each` images a patient."""
    pixels, labels = shapes(counts, size, seed=seed, channels=channels)
    names = tuple(f"class {k}" for k in range(len(counts)))
    return ImageSet.of(pixels, labels, names, np.arange(len(labels)) // each)


def train_fold(*given, **named):
    """All of such a set as a training side."""
    return TrainFold(image_set(*given, **named), "test")
