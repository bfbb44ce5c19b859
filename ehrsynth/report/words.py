"""What the numbers mean, in the words of the report: one place, so that they are never said twice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """How one score or risk is explained.

    `title` heads it, `plain` is one sentence for a reader who is no statistician, `best` says which end
    is good.
    """

    title: str
    plain: str
    best: str = ""


SCORES = {
    "classifier_two_sample": Words(
        "Can a classifier tell them apart?",
        "A classifier is trained to tell real from synthetic patients; this is how well it does on patients "
        "it has not seen (area under the ROC curve).",
        "Best is 0.5: it guesses. At 1 it always knows.",
    ),
    "column_shapes": Words(
        "Columns one at a time",
        "How alike the values of each column are, averaged over the columns.",
        "Best is 1: the same distribution.",
    ),
    "constraint_violations": Words(
        "Broken rules",
        "Synthetic rows that break a rule of the schema.",
        "Best is 0.",
    ),
    "copied_rows": Words(
        "Copied rows",
        "Synthetic rows that are equal to a training patient in every column, against the share for patients "
        "whom the generator never saw.",
        "Best is no more than for unseen patients.",
    ),
    "missingness": Words(
        "Missing values",
        "How far the shares of missing values are off, of single columns and of pairs of columns.",
        "Best is 0.",
    ),
    "pair_trends": Words(
        "Columns two at a time",
        "How alike the association of each pair of columns is, averaged over the pairs.",
        "Best is 1: the same associations.",
    ),
    "train_synthetic_test_real": Words(
        "Useful for a model?",
        "A prediction model for each outcome learns from synthetic patients only and is tested on real ones "
        "it has not seen; the mean over the outcomes. Beside it, the same models trained on real patients.",
        "Best is as good as the model trained on real patients.",
    ),
}
RISKS = {
    "singling_out": Words(
        "Singling out",
        "How much better an attacker describes exactly one real patient by means of the synthetic table.",
    ),
    "linkability": Words(
        "Linkability",
        "How much better an attacker joins two parts of a patient's record by means of the synthetic table.",
    ),
    "inference": Words(
        "Attribute inference",
        "How much better an attacker guesses a patient's hidden value by means of the synthetic table.",
    ),
}
GLOSSARY = (
    ("Synthetic patient", "A row drawn from a model of the table. It stands for no real person."),
    ("Training patients", "The real patients from whom the generator learnt."),
    (
        "Holdout",
        (
            "Real patients of the same table whom the generator never saw. They show what a perfect result "
            "looks like, and what an attacker would achieve without any leak."
        ),
    ),
    (
        "Real against real",
        (
            "The same measure, taken between two groups of real patients. No generator can be expected to do "
            "better."
        ),
    ),
    ("95 % interval", "The range that the measured number could plausibly have had by the luck of the draw."),
    (
        "Risk",
        (
            "What an attack gains over its control: 0 when it does no better on training patients than on "
            "unseen ones, 1 when it always succeeds. The gate looks at the upper end of its interval."
        ),
    ),
    ("Control", "The same attack against patients whom the generator never saw."),
    (
        "Association",
        "How strongly two columns move together, 0 to 1, whatever their kinds.",
    ),
    (
        "No formal guarantee",
        (
            "The table was tested with attacks and was not made under differential privacy. A test can "
            "find a leak; it cannot prove that there is none."
        ),
    ),
    (
        "Differential privacy",
        (
            "A mathematical bound on what any one patient's presence can change in the result; epsilon and "
            "delta are its two numbers, smaller is stronger. It covers the synthetic table, not this "
            "report's measurements."
        ),
    ),
    ("Small cell", "A count of 1 to 10 patients. It is shown in nothing that may be shared."),
    ("Schema", "The file that says what each column means: its kind, bounds, categories and rules."),
)


def title(name: str) -> str:
    """The heading of a score or risk; a third party's own name, in words, where we have none."""
    words = SCORES.get(name) or RISKS.get(name)
    return words.title if words else name.replace("_", " ").capitalize()
