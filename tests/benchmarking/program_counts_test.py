"""Counts of StableHLO programs that are small enough to count by hand."""

import pytest

from tf_resflow import errors
from tf_resflow.benchmarking import program_counts

_DOT = """
    %{i} = stablehlo.dot %arg0, %arg1, precision = [DEFAULT, DEFAULT] : (\
tensor<4x3xf32>, tensor<3x5xf32>) -> tensor<4x5xf32> loc(#loc1)"""
_DOT_WORK = program_counts.Work(
    dots=1, operations=2 * 4 * 5 * 3, bytes=4 * (12 + 15 + 20))
_MAIN = """#loc1 = loc("a {{ b")
module @m {{
  func.func @main(%arg0: tensor<4x3xf32> loc("x"), %arg1: tensor<3x5xf32>, \
%arg2: tensor<i64>) -> (tensor<4x5xf32>, tensor<f64>) {{
    %cst = stablehlo.constant dense<0.0> : tensor<f64>{body}
    return %0, %cst : tensor<4x5xf32>, tensor<f64> loc(#loc1)
  }} loc(#loc1)
{functions}}}
"""


def _count(body, functions=''):
  return program_counts.count_stablehlo(
      _MAIN.format(body=body, functions=functions))


def test_arguments_and_outputs():
  text = _MAIN.format(body=_DOT.format(i=0), functions='')
  assert program_counts.arguments_of(text) == [
      ((4, 3), 'f32'), ((3, 5), 'f32'), ((), 'i64')]
  assert program_counts.num_outputs_of(text) == 2


@pytest.mark.parametrize('text, num_bytes', [
    ('2x3xf32', 24), ('f64', 8), ('7xi1', 7), ('2xbf16', 4), ('0x4xui32', 0)])
def test_bytes_of_types(text, num_bytes):
  assert program_counts.TensorType.parse(text).num_bytes == num_bytes


def test_a_product():
  assert _count(_DOT.format(i=0)) == (_DOT_WORK, [])


@pytest.mark.parametrize('operation, work', [
    # A batch of 7 products over axes of 3 and 2.
    ('stablehlo.dot_general %arg0, %arg1, batching_dims = [0] x [0], '
     'contracting_dims = [2, 3] x [1, 2], precision = [DEFAULT] : '
     '(tensor<7x4x3x2xf32>, tensor<7x3x2x5xf32>) -> tensor<7x4x5xf32>',
     program_counts.Work(dots=1, operations=2 * 7 * 4 * 5 * 6,
                         bytes=4 * 7 * (24 + 30 + 20))),
    # 3 x 3 taps of 2 channels each.
    ('stablehlo.convolution(%arg0, %arg1) dim_numbers = [b, 0, 1, f]x'
     '[0, 1, i, o]->[b, 0, 1, f], window = {stride = [1, 1], pad = [[1, 1], '
     '[1, 1]]} {batch_group_count = 1 : i64} : (tensor<5x8x8x2xf32>, '
     'tensor<3x3x2x6xf32>) -> tensor<5x8x8x6xf32>',
     program_counts.Work(
         convolutions=1, operations=2 * 5 * 64 * 6 * 18,
         bytes=4 * (5 * 64 * 2 + 108 + 5 * 64 * 6))),
    # The gradient of its kernel: 5 images of 8 x 8 for each of 9 x 12 numbers.
    ('stablehlo.convolution(%arg0, %arg1) dim_numbers = [f, 0, 1, b]x'
     '[i, 0, 1, o]->[0, 1, b, f], window = {pad = [[1, 1], [1, 1]]} '
     '{batch_group_count = 1 : i64} : (tensor<5x8x8x2xf32>, '
     'tensor<5x8x8x6xf32>) -> tensor<3x3x2x6xf32>',
     program_counts.Work(
         convolutions=1, operations=2 * 9 * 12 * 5 * 64,
         bytes=4 * (5 * 64 * 8 + 108)))])
def test_kinds_of_products(operation, work):
  assert _count(f'\n    %0 = {operation}') == (work, [])


def test_what_no_output_needs_is_not_counted():
  """Nor is what it would have needed."""
  used = _DOT.format(i=0)
  chain = _DOT.format(i=1) + '\n    %2 = stablehlo.add %1, %1 : tensor<4x5xf32>'
  assert _count(chain + used) == (_DOT_WORK, [])
  assert _count(chain + used + '\n    return %2 : tensor<4x5xf32>') == (
      _DOT_WORK + _DOT_WORK, [])


def test_functions_count_as_often_as_they_are_called():
  functions = ('  func.func private @f(%arg0: tensor<4x3xf32>, %arg1: '
               'tensor<3x5xf32>) -> tensor<4x5xf32> {' + _DOT.format(i=0) +
               '\n    return %0 : tensor<4x5xf32>\n  }\n')
  call = '\n    %{} = func.call @f(%arg0, %arg1) : () -> tensor<4x5xf32>'
  work, loops = _count(
      call.format(1) + call.format(2) +
      '\n    %0 = stablehlo.add %1, %2 : tensor<4x5xf32>', functions)
  assert work == _DOT_WORK + _DOT_WORK and loops == []
  # One that nobody calls.
  assert _count(_DOT.format(i=0), functions) == (_DOT_WORK, [])


_CONDITION = """  func.func private @{name}_cond_12_const_0__.3(%arg0: \
tensor<i32>) -> tensor<i1> {{
    %0 = stablehlo.compare LT, %arg0, %arg0 : tensor<i1>
    return %0 : tensor<i1>
  }}
"""


def _loop(i, name, body, result='%iterArg'):
  return f"""
    %{i}:2 = stablehlo.while(%iterArg = %cst, %iterArg_1 = %cst) : tensor<i32>
    cond {{
      %90 = func.call @{name}_cond_12_const_0__.3(%iterArg) : tensor<i1>
      stablehlo.return %90 : tensor<i1> loc(#loc1)
    }} do {{{body}
      stablehlo.return {result}, %iterArg_1 : tensor<i32>, tensor<i32>
    }} loc(#loc1)"""


def test_loops_are_counted_once_by_name():
  functions = ''.join(_CONDITION.format(name=n) for n in ('series', 'power'))
  # A name that the regions share is dead in one of them.
  counts = _count(
      _loop(1, 'series', _DOT.format(i=91) + _DOT.format(i=92), '%91') +
      _loop(2, 'series', _DOT.format(i=91) + _DOT.format(i=92), '%92') +
      _loop(3, 'power', '\n      %91:2 = stablehlo.custom_call @Eigh(%iterArg)'
            ' {backend_config = "{"} : (tensor<f32>) -> tensor<f32>', '%91#0') +
      '\n    %4 = stablehlo.add %1#0, %2#1 : tensor<4x5xf32>'
      '\n    %0 = stablehlo.add %4, %3#1 : tensor<4x5xf32>', functions)
  assert counts.outside == program_counts.Work()
  assert [name for name, _ in counts.loops] == ['series', 'series', 'power']
  assert counts.loops_named('series') == _DOT_WORK + _DOT_WORK
  assert counts.loops_named('other') is None
  report = counts.report()['loops']
  assert report['series'] == {'num_loops': 2, **(
      _DOT_WORK + _DOT_WORK).report()}
  assert report['power']['custom_calls'] == {'Eigh': 1}


@pytest.mark.parametrize('branch', ['cond_', 'cond_3_'])
def test_loops_of_a_branch_have_their_name(branch):
  name = f'{branch}power_iteration'
  counts = _count(
      _loop(1, name, _DOT.format(i=91), '%91') +
      '\n    %0 = stablehlo.add %1#0, %1#0 : tensor<4x5xf32>',
      _CONDITION.format(name=name))
  assert [name for name, _ in counts.loops] == ['power_iteration']


def test_a_loop_within_a_loop():
  functions = ''.join(_CONDITION.format(name=n) for n in ('parts', 'series'))
  counts = _count(
      _loop(0, 'parts', _loop(93, 'series', _DOT.format(i=91), '%91') +
            _DOT.format(i=94) +
            '\n      %95 = stablehlo.add %94, %93#0 : tensor<4x5xf32>', '%95'),
      functions)
  assert counts.loops == [
      ('parts', _DOT_WORK), ('parts/series', _DOT_WORK)]


def test_other_regions_belong_to_what_is_around_them():
  reduce = """
    %1 = stablehlo.reduce(%arg0 init: %cst) across dimensions = [0] : (f32)
     reducer(%arg3: tensor<f32>, %arg4: tensor<f32>)  {
      %95 = stablehlo.add %arg3, %arg4 : tensor<f32>
      stablehlo.return %95 : tensor<f32>
    }
    %2 = "stablehlo.case"(%cst) ({%s
      stablehlo.return %96 : tensor<4x5xf32>
    }, {
      stablehlo.return %1 : tensor<4x5xf32>
    }) : (tensor<i32>) -> tensor<4x5xf32>
    %0 = stablehlo.add %2, %2 : tensor<4x5xf32>""".replace(
        '%s', _DOT.format(i=96))
  assert _count(reduce + _DOT.format(i=3)) == (_DOT_WORK, [])


def test_forms_that_are_not_known_are_no_silence():
  with pytest.raises(errors.FormatError, match='a dot_general of StableHLO'):
    _count('\n    %0 = "stablehlo.dot_general"(%arg0, %arg1) : () -> ()')
