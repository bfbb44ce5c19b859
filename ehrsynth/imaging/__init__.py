"""Images: class-wise generative models for small, unbalanced sets, and a study that says whether they help.

Images come in through one door (`reading`), stand on one side of a fold (`folds`), and what is made of them
carries its parents (`synthetic`). The models are in `models`, what is measured in `measures`, and in `study`
they are compared with the cheap remedies.
"""
