"""Does the synthetic table look like the real one?"""
