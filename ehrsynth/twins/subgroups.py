"""Groups of patients by single covariates, the same for every table: listed values, or thirds of a number."""

from collections.abc import Sequence

from ehrsynth.evaluation.matrix import Matrix
from ehrsynth.evaluation.strata import Strata, Stratum, strata
from ehrsynth.schema import IdentifierColumn
from ehrsynth.twins.question import Question

FEWEST = 20


def subgroups(question: Question, tables: Sequence[Matrix], *, fewest: int = FEWEST) -> Strata:
    """The groups by each column that was asked for, thirds being those of the first table.

    Groups with fewer patients than `fewest` in a table are left out, by name and with the reason.
    """
    found: list[Stratum] = []
    left_out: dict[str, str] = {}
    for name in question.by:
        column = question.schema.column(name)
        assert not isinstance(column, IdentifierColumn)  # noqa: S101 - a covariate is learnt
        alone = question.covariate_schema.subset((name,)).changed(
            columns=(column.model_copy(update={"roles": ("protected",)}),)
        )
        each = strata(alone, tables, minimum=fewest)
        found += each.measured
        left_out |= each.left_out
    return Strata(tuple(found), left_out)
