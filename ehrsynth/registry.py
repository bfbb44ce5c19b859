"""What can be chosen by name: generators, metrics, attacks, column kinds and rebalancing methods.

Each table maps a name to a "module:Name" string that is resolved on first use, so that listing what
exists imports nothing. A third party adds to `generators`, `metrics` and `attacks` through entry points
of the groups ``ehrsynth.generators``, ``ehrsynth.metrics`` and ``ehrsynth.attacks``; a name that is
already taken is an error, never a silent replacement. A model folder stores the *name* of its generator:
no dotted path is ever read from a file.
"""

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from ehrsynth.errors import RequestError, unknown

GENERATORS = {
    "aim": "ehrsynth.generators.aim:AIM",
    "auto": "ehrsynth.selection:Auto",
    "autoregressive": "ehrsynth.generators.autoregressive:Autoregressive",
    "cart": "ehrsynth.generators.cart:Cart",
    "copula": "ehrsynth.generators.copula:Copula",
    "ctgan": "ehrsynth.generators.ctgan:CTGAN",
    "dp-ctgan": "ehrsynth.generators.dp_ctgan:DPCTGAN",
    "dp-independent": "ehrsynth.generators.dp_independent:DPIndependent",
    "dp-tvae": "ehrsynth.generators.dp_tvae:DPTVAE",
    "diffusion": "ehrsynth.generators.diffusion:Diffusion",
    "independent": "ehrsynth.generators.independent:Independent",
    "mst": "ehrsynth.generators.mst:MST",
    "sharded": "ehrsynth.generators.sharded:Sharded",
    "tvae": "ehrsynth.generators.tvae:TVAE",
}
# Generators that exist only under differential privacy.
PRIVATE = frozenset({"aim", "dp-ctgan", "dp-independent", "dp-tvae", "mst"})
METRICS = {
    "association": "ehrsynth.evaluation.fidelity.association:association",
    "classifier_two_sample": "ehrsynth.evaluation.fidelity.classifier_two_sample:classifier_two_sample",
    "column_shapes": "ehrsynth.evaluation.fidelity.column_shapes:column_shapes",
    "constraint_violations": "ehrsynth.evaluation.fidelity.constraint_violations:constraint_violations",
    "copied_rows": "ehrsynth.evaluation.privacy.copied_rows:copied_rows",
    "effect_estimates": "ehrsynth.evaluation.utility.effect_estimates:effect_estimates",
    "feature_importance": "ehrsynth.evaluation.utility.feature_importance:feature_importance",
    "missingness": "ehrsynth.evaluation.fidelity.missingness:missingness",
    "pair_trends": "ehrsynth.evaluation.fidelity.pair_trends:pair_trends",
    "precision_recall": "ehrsynth.evaluation.fidelity.precision_recall:precision_recall",
    "rare_categories": "ehrsynth.evaluation.fidelity.rare_categories:rare_categories",
    "survival_curves": "ehrsynth.evaluation.fidelity.survival_curves:survival_curves",
    "times_between": "ehrsynth.evaluation.fidelity.times_between:times_between",
    "train_synthetic_test_real": (
        "ehrsynth.evaluation.utility.train_synthetic_test_real:train_synthetic_test_real"
    ),
}
ATTACKS = {
    "classifier_odds": "ehrsynth.evaluation.privacy.classifier_odds:classifier_odds",
    "density_ratio": "ehrsynth.evaluation.privacy.density_ratio:density_ratio",
    "exact_match": "ehrsynth.evaluation.privacy.exact_match:exact_match",
    "identity_disclosure": "ehrsynth.evaluation.privacy.identity_disclosure:identity_disclosure",
    "inference": "ehrsynth.evaluation.privacy.inference:inference",
    "linear_reconstruction": ("ehrsynth.evaluation.privacy.linear_reconstruction:linear_reconstruction"),
    "linkability": "ehrsynth.evaluation.privacy.linkability:linkability",
    "mahalanobis": "ehrsynth.evaluation.privacy.mahalanobis:mahalanobis",
    "membership_disclosure": ("ehrsynth.evaluation.privacy.membership_disclosure:membership_disclosure"),
    "nearest_record": "ehrsynth.evaluation.privacy.nearest_record:nearest_record",
    "singling_out": "ehrsynth.evaluation.privacy.singling_out:singling_out",
}
COLUMN_KINDS = {
    "boolean": "ehrsynth.encoding.boolean:BooleanEncoding",
    "category": "ehrsynth.encoding.category:CategoryEncoding",
    "code": "ehrsynth.encoding.code:CodeEncoding",
    "date": "ehrsynth.encoding.date:DateEncoding",
    "datetime": "ehrsynth.encoding.datetime:DatetimeEncoding",
    "duration": "ehrsynth.encoding.duration:DurationEncoding",
    "integer": "ehrsynth.encoding.integer:IntegerEncoding",
    "number": "ehrsynth.encoding.number:NumberEncoding",
}
METHODS = {
    "adasyn": "ehrsynth.rebalance.smote:Adasyn",
    "borderline_smote": "ehrsynth.rebalance.smote:BorderlineSmote",
    "brnet": "ehrsynth.rebalance.representation:Brnet",
    "class_weights": "ehrsynth.rebalance.weighting:ClassWeights",
    "exponentiated_gradient": "ehrsynth.rebalance.reductions:ExponentiatedGradient",
    "generation": "ehrsynth.rebalance.generation:Generation",
    "grid_search": "ehrsynth.rebalance.reductions:GridSearch",
    "group_and_class_weights": "ehrsynth.rebalance.weighting:GroupAndClassWeights",
    "group_only": "ehrsynth.rebalance.group_models:GroupOnly",
    "group_thresholds": "ehrsynth.rebalance.thresholds:GroupThresholds",
    "group_weights": "ehrsynth.rebalance.weighting:GroupWeights",
    "interaction": "ehrsynth.rebalance.group_models:Interaction",
    "kmeans_smote": "ehrsynth.rebalance.smote:KMeansSmote",
    "none": "ehrsynth.rebalance.weighting:Untreated",
    "random_oversampling": "ehrsynth.rebalance.random_sampling:RandomOversampling",
    "random_undersampling": "ehrsynth.rebalance.random_sampling:RandomUndersampling",
    "recalibration": "ehrsynth.rebalance.calibration:Recalibration",
    "repeated_enn": "ehrsynth.rebalance.cleaning:RepeatedEnn",
    "rose": "ehrsynth.rebalance.random_sampling:Rose",
    "smote": "ehrsynth.rebalance.smote:Smote",
    "smote_enn": "ehrsynth.rebalance.smote:SmoteEnn",
    "smote_tomek": "ehrsynth.rebalance.smote:SmoteTomek",
    "smoten": "ehrsynth.rebalance.smote:SmoteN",
    "smotenc": "ehrsynth.rebalance.smote:SmoteNC",
    "smoothed_bootstrap": "ehrsynth.rebalance.random_sampling:SmoothedBootstrap",
    "svm_smote": "ehrsynth.rebalance.smote:SvmSmote",
    "tomek_links": "ehrsynth.rebalance.cleaning:TomekLinks",
}
_TABLES = {
    "generator": GENERATORS,
    "metric": METRICS,
    "attack": ATTACKS,
    "column kind": COLUMN_KINDS,
    "method": METHODS,
}
_OPEN_TO_THIRD_PARTIES = {"generator", "metric", "attack"}


@cache
def known(what: str) -> dict[str, str]:
    """All names of one table with their "module:Name", third parties' included, sorted by name."""
    table = dict(_TABLES[what])
    if what in _OPEN_TO_THIRD_PARTIES:
        for point in entry_points(group=f"ehrsynth.{what}s"):
            if point.name in table:
                message = f"{what} {point.name!r} is registered twice: {table[point.name]}, {point.value}"
                raise RequestError(f"{message}. Uninstall one of the two packages.")
            table[point.name] = point.value
    return dict(sorted(table.items()))


def resolve(what: str, name: str) -> Any:
    """The object behind a registered name.

    Parameters
    ----------
    what
        "generator", "metric", "attack", "column kind" or "method".
    name
        A name in that table.

    Raises
    ------
    RequestError
        If the name is not known; the message lists the known names.
    MissingPackage
        If its module needs an optional package that is not installed.
    """
    table = known(what)
    if name not in table:
        raise RequestError(unknown(what, name, list(table)))
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)
