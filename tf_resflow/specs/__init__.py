"""Registries, specs and configuration fields, without TensorFlow.

Registries map names to types, specs such as `roulette:poisson:2,exact=2` name a
type with arguments, and fields define flags with their help and checks.
"""

from tf_resflow.specs import registries
from tf_resflow.specs.fields import field
from tf_resflow.specs.fields import Section
from tf_resflow.specs.spec import option
from tf_resflow.specs.spec import Registry
from tf_resflow.specs.spec import Spec
from tf_resflow.specs.spec import Specified

__all__ = [
    'Registry', 'Section', 'Spec', 'Specified', 'field', 'option', 'registries']
