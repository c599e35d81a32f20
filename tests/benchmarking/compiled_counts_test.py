"""Counts of optimised HLO that is small enough to count by hand."""

import pytest

from tf_resflow import errors
from tf_resflow.benchmarking import compiled_counts

_HLO = """HloModule m, entry_computation_layout={(f32[4,4]{1,0})->f32[4,4]{1,0}}

%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  ROOT %sum = f32[] add(%x, %y)
}

%fused (p: f32[4,4]) -> f32[4,4] {
  %p = f32[4,4]{1,0} parameter(0)
  %n = f32[4,4]{1,0} negate(%p)
  ROOT %d = f32[4,4]{1,0} dot(%n, %p), lhs_contracting_dims={1}
}

%body (s: (s32[], f32[4,4])) -> (s32[], f32[4,4]) {
  %s = (s32[], f32[4,4]{1,0:T(8,128)}) parameter(0)
  %g = f32[4,4]{1,0} get-tuple-element(%s), index=1
  %f = f32[4,4]{1,0} fusion(%g), kind=kOutput, calls=%fused
  %c = f32[4,4]{1,0} convolution(%f, %g), window={size=3x3}
  ROOT %t = (s32[], f32[4,4]{1,0}) tuple(%g, %c)
}

%condition (s: (s32[], f32[4,4])) -> pred[] {
  %s = (s32[], /*index=1*/f32[4,4]{1,0}) parameter(0)
  ROOT %l = pred[] compare(%s, %s), direction=LT
}

%unused (p: f32[4,4]) -> f32[4,4] {
  ROOT %d = f32[4,4]{1,0} dot(%p, %p)
}

ENTRY %main (p: f32[4,4]) -> f32[4,4] {
  %p = f32[4,4]{1,0} parameter(0)
  %r = f32[] reduce(%p, %p), dimensions={0,1}, to_apply=%add
  %e = (f32[4,4]{1,0}) custom-call(%p), custom_call_target="__cublas$gemm"
  %i = (s32[], f32[4,4]{1,0}) tuple(%r, %p)
  %w = (s32[], f32[4,4]{1,0}) while(%i), condition=%condition, body=%body, \
metadata={op_name="PartitionedCall_5/log_det_series_1"}
  %f = f32[4,4]{1,0} fusion(%p), kind=kLoop, calls=%fused
  ROOT %g = f32[4,4]{1,0} get-tuple-element(%w), index=1
}
"""


def test_counts():
  assert compiled_counts.count_optimized(_HLO) == {
      # reduce, custom-call, fusion; fusion, convolution; compare.
      'kernels': 6, 'fusions': 2, 'dots': 2, 'convolutions': 1,
      'while_loops': 1, 'custom_calls': {'__cublas$gemm': 1},
      'loops': {'log_det_series': {
          'num_loops': 1, 'kernels': 3, 'fusions': 1, 'dots': 1,
          'convolutions': 1, 'while_loops': 0}}}


def test_loops_of_a_branch():
  text = _HLO.replace('PartitionedCall_5/log', 'PartitionedCall_5/cond_3/log')
  assert list(compiled_counts.count_optimized(text)['loops']) == [
      'log_det_series']


def test_loops_without_a_name():
  text = _HLO.replace('op_name', 'op_type')
  assert list(compiled_counts.count_optimized(text)['loops']) == ['while']


def test_no_hlo():
  with pytest.raises(errors.FormatError, match='without an ENTRY'):
    compiled_counts.count_optimized('module @m {\n}\n')
