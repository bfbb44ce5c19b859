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


# The name of the gate's check of all attacks together.
LEAK = "Chance of what the attacks found, if nothing leaks"
SCORES = {
    "association": Words(
        "Strength of association",
        "How far the strength with which two columns hang together is off, averaged over the pairs, each by "
        "the measure that its kinds ask for.",
        "Best is 0: every pair is as strongly tied as in real patients.",
    ),
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
    "effect_estimates": Words(
        "Same findings of a study?",
        "A regression for each outcome, on real and on synthetic patients: by how many standard errors the "
        "two estimates of an effect differ, averaged over the effects.",
        "Best is 0; other real patients of the same hospital differ by about 1.",
    ),
    "feature_importance": Words(
        "Do models look at the same columns?",
        "Prediction models learn from synthetic and from real patients; this is the share of importance that "
        "both give to the same columns, averaged over the outcomes.",
        "Best is 1, or as good as real against real.",
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
    "precision_recall": Words(
        "Realistic and varied?",
        "The share of synthetic patients who lie among real ones (precision), or of real patients near whom "
        "a synthetic one lies (coverage), whichever is smaller.",
        "Best is 1, or as good as real against real.",
    ),
    "rare_categories": Words(
        "Rare diagnoses and drugs",
        "How much of their frequency rare categories keep in the synthetic table, averaged over them.",
        "Best is 1: all kept. At 0 all are lost.",
    ),
    "survival_curves": Words(
        "Events over time",
        "The largest gap between the curves of real and synthetic patients who have not yet had the event "
        "(or, where several events compete, who have had one of them).",
        "Best is 0; 0.05 means 5 in 100 patients at some time.",
    ),
    "times_between": Words(
        "Times between dates",
        "How alike the stays, waits and other times between two dates are, averaged over the pairs of dates.",
        "Best is 1: the same distributions.",
    ),
    "train_synthetic_test_real": Words(
        "Useful for a model?",
        "A prediction model for each outcome learns from synthetic patients only and is tested on real ones "
        "it has not seen; the mean over the outcomes. Beside it, the same models trained on real patients.",
        "Best is as good as the model trained on real patients.",
    ),
}
RISKS = {
    "classifier_odds": Words(
        "Told by a classifier",
        "How much better an attacker recognises who was in the training data, by a classifier that learnt to "
        "tell synthetic from real patients.",
    ),
    "combined": Words(
        "All attacks on membership as one",
        "How much better an attacker recognises who was in the training data, by believing the patients whom "
        "several attacks point at.",
    ),
    "density_ratio": Words(
        "Crowded by synthetic patients",
        "How much better an attacker recognises who was in the training data, by more synthetic patients "
        "around that person than the population explains.",
    ),
    "exact_match": Words(
        "Repeated rows and odd values",
        "How much more often a training patient stands in the synthetic table as they are, or values that "
        "nobody else has occur there, than for unseen patients.",
    ),
    "identity_disclosure": Words(
        "Identity disclosure",
        "How much likelier a training patient is named by what others may know of them, through a synthetic "
        "row that matches and tells something new, than an unseen patient.",
    ),
    "linear_reconstruction": Words(
        "Worked out from counts",
        "How much better an attacker works out a training patient's hidden value from what the synthetic "
        "table says of many small groups, than an unseen patient's.",
    ),
    "membership_disclosure": Words(
        "Matched by a synthetic patient",
        "How much better an attacker recognises who was in the training data, by a synthetic row that equals "
        "that person in nearly all columns.",
    ),
    "mahalanobis": Words(
        "Stretched towards the training patients",
        "How much better an attacker recognises who was in the training data, by how far the "
        "synthetic patients' spread reaches out towards that person.",
    ),
    "nearest_record": Words(
        "Closest synthetic patient",
        "How much better an attacker recognises who was in the training data, by a synthetic patient closer "
        "to that person than other real patients are.",
    ),
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
    (
        "Simultaneous bound",
        (
            "An upper end for every attack in every group of patients that holds for all of them together: "
            "whoever looks at many numbers finds a large one, and this allows for it."
        ),
    ),
    (
        "Exposed share",
        (
            "The scale on which attacks are compared: were so many of the patients fully exposed and the "
            "others not at all, the attack would be as successful as it was."
        ),
    ),
    (
        "AUROC",
        "The chance that the right one of two patients is ranked higher: 0.5 is guessing, 1 is certain.",
    ),
    ("False alarms", "Unseen patients whom an attack takes for training patients."),
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
