"""Diffusion of words and numbers: how noise is added, how a network learns to remove it, how rows are drawn.

Every module but `scale` and `cells` imports torch.
"""
