"""What can be asked for by a name or a field: the ground floor, no TensorFlow.

Registries of names, specs such as `roulette:poisson:2,exact=2`, and the fields
that flags, their help and checks follow from.
"""

from tf_resflow.specs import registries
from tf_resflow.specs.fields import field
from tf_resflow.specs.fields import Section
from tf_resflow.specs.registry import Registry
from tf_resflow.specs.spec import option
from tf_resflow.specs.spec import Spec
from tf_resflow.specs.spec import Specified

__all__ = [
    'Registry', 'Section', 'Spec', 'Specified', 'field', 'option', 'registries']
