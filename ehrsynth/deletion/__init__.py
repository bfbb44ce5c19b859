"""Deletion: a patient withdraws, and a release is made again as if they had never been in the table.

It is exact or it is not done: the model is learnt again without the patient, or the one shard that held them
is (`ehrsynth.generators.sharded`), or they are subtracted from counts. Methods that only come near are not
offered: nothing can be proven of them (Thudi et al. 2022, "On the Necessity of Auditable Algorithmic
Definitions for Machine Unlearning", USENIX Security, arXiv 2110.11891).

::

    from ehrsynth.deletion.job import forget

    forget("release", "withdrawn.txt", "patients.csv", "release-2")

`naming` and `finding` read who is to be forgotten, `earlier` what the old release says of itself,
`relearning` finds the shortest exact way, `models` and `twins` do the same for what is no release,
`certificate` says and proves what was done, `verify` checks it. No identifier is stored.
"""
