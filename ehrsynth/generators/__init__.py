"""Generators: each learns a patient table and draws synthetic patients from what it learnt.

::

    from ehrsynth.generators.recipes import recipe
    from ehrsynth.generators.storage import load_model

    model = recipe("ctgan", {"epochs": 100}).fit(table, schema, seed=7)
    sample = model.sample(1_000, where='age >= 80 and sex == "F"', seed=8)
    model.save("model/")
    load_model("model/").sample(10, seed=9)

One generator is one file, named as in its paper, with one line in `ehrsynth.registry`. `base` holds the
promise that all keep, `rejection` the bounded proposal loop, `marginals` a column by itself, `ties` what the
schema's rules decide and no model has to learn, `plain` a table as the words and numbers that other
packages understand, `storage` a model's folder. `_sdv_package` and `_ctgan_package` are the only files
that import those packages.
"""
