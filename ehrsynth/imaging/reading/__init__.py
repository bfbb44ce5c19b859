"""From files to an `ImageSet`: decoded, stripped of all that is not picture, looked at, scaled, grouped."""

from ehrsynth.imaging.reading.door import Admitted, Rules, read_images

__all__ = ["Admitted", "Rules", "read_images"]
