"""From files to an `ImageSet`: decoded, stripped of all that is not picture, looked at, scaled, grouped."""

from ehrsynth.imaging.reading.door import Admitted, Rules, read_images
from ehrsynth.imaging.reading.private import read_patients

__all__ = ["Admitted", "Rules", "read_images", "read_patients"]
