"""Rebalancing: bias correction for groups of which there are few, with a verdict that can say no.

A plan says who the groups are and how many of each there shall be (`wishes`, `plan`, `population`, `raking`);
methods treat the training patients (`methods`, one file a family); a study tests them on real patients
(`study`, `headroom`, `sites`); the verdict names one method, or none (`verdict`). `job.rebalance` does it
all.
"""
