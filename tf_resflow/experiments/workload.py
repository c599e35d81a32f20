"""What the cases of a study are trained on, and for how long."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from tf_resflow import errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
  """What the cases of a study are trained on, and for how long.

  Attributes:
    flagfile: name of the flagfile with the settings of all cases.
    settings: settings in place of these.
    seconds: of training of every run. Their numbers of updates follow from the
      times of updates, which are measured first, in turn and on an idle
      machine.
    num_steps: numbers of updates instead, of all cases or by case, as an
      earlier study measured them. With neither, which takes a study without
      rates, runs have those of their settings.
    num_validation: number of training examples on which rates are compared; the
      finalists are trained on these, too, to the end. None for what follows
      from the data: runs on your own vectors hold a part out, and keep their
      best step, finalists as well. Of no effect in a study without rates.
    rate_factor: of the rates that were found on the first workload.
    folds: number K of folds of a cross-validation, 0 for none: finalist 1, 2,
      ... of a case is trained without fold 0, 1, ... of K and tested on it,
      then on those of other divisions, `DATASET/REPETITION.FOLDofK`.
    num_seeds: number of finalists of a case, in place of that of the study.
  """

  flagfile: str
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  seconds: float | None = None
  num_steps: int | Mapping[str, int] | None = None
  num_validation: int | None = 200
  rate_factor: float = 1.0
  folds: int = 0
  num_seeds: int | None = None

  def __post_init__(self):
    errors.check(
        self.seconds is None or self.num_steps is None and self.seconds > 0,
        'seconds', self.seconds, 'a number > 0, unless num_steps is given')
    errors.check(
        self.folds == 0 or self.folds > 1, 'folds', self.folds, 'a number > 1')

  def dataset(self, dataset: str, seed: int) -> str:
    """Returns the data set of a run, of its fold if there are some."""
    if not self.folds:
      return dataset
    repetition, fold = divmod(max(seed - 1, 0), self.folds)
    return f'{dataset}/{repetition}.{fold}of{self.folds}'
