"""Two logical CPU devices for the tests of replicas.

Devices are fixed when TensorFlow starts, so this must run before any test
module makes a tensor.
"""

import tensorflow as tf

NUM_LOGICAL_CPUS = 2

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices('CPU')[0],
    [tf.config.LogicalDeviceConfiguration()] * NUM_LOGICAL_CPUS)
