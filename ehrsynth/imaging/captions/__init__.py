"""Burned-in text: found in single images and across images, shown, and refused or masked."""

from ehrsynth.imaging.captions.letters import Box, text_lines

__all__ = ["Box", "text_lines"]
