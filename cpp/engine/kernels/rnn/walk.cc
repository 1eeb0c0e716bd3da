// SPDX-License-Identifier: Apache-2.0
#include "engine/kernels/rnn/walk.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace savedmodel::engine::rnn {
namespace {

// The projection is computed at once for as many steps as fill this many floats.
constexpr Index kProjectedFloats = Index{1} << 19;

void CopyRows(const float* from, Index from_row, float* to, Index to_row, Index rows, Index units) {
  for (Index i = 0; i < rows; ++i) {
    std::memcpy(to + i * to_row, from + i * from_row, static_cast<std::size_t>(units) * sizeof(float));
  }
}

}  // namespace

Walk::Walk(std::shared_ptr<const Packed> packed, const Sequence& s, bool shared, Index before)
    : packed_(std::move(packed)),
      rows_(s.batch),
      steps_(s.steps),
      padded_(packed_->Blocks() * packed_->block),
      state_(rows_ * padded_),
      before_(before),
      chunk_(std::max<Index>(1, std::min(steps_, kProjectedFloats / (state_ * Gates(packed_->cell))))),
      phases_per_step_(packed_->cell == Cell::kGruResetBefore ? 2 : 1),
      phases_(steps_ * phases_per_step_ + DivideUp(steps_, chunk_)),
      copy_(shared ? steps_ * rows_ * packed_->inputs : 0, false),
      projected_(chunk_ * state_ * Gates(packed_->cell), false),
      states_((packed_->cell == Cell::kLstm ? 4 : 2) * state_),
      between_(packed_->cell == Cell::kGruResetBefore ? 2 * state_ : 0) {
  const Index units = packed_->units, inputs = packed_->inputs;
  if (s.h0 != nullptr) CopyRows(s.h0, s.h0_row, h(0), padded_, rows_, units);
  if (s.c0 != nullptr) CopyRows(s.c0, s.c0_row, c(0), padded_, rows_, units);

  if (s.mask != nullptr) {
    mask_.reset(new bool[static_cast<std::size_t>(steps_ * rows_)]);
    for (Index t = 0; t < steps_; ++t) {
      for (Index i = 0; i < rows_; ++i) mask_[t * rows_ + i] = s.mask[t * s.mask_stride + i * s.mask_row];
    }
  }

  projection_.x = s.x;
  projection_.x_stride = s.x_stride;
  projection_.x_row = s.x_row;
  if (copy_.get() != nullptr) {
    for (Index t = 0; t < steps_; ++t) {
      CopyRows(s.x + t * s.x_stride, s.x_row, copy_.get() + t * rows_ * inputs, inputs, rows_, inputs);
    }
    projection_.x = copy_.get();
    projection_.x_stride = rows_ * inputs;
    projection_.x_row = inputs;
  }
  projection_.batch = rows_;
  projection_.inputs = inputs;
  projection_.kernel = packed_->kernel.get();
  projection_.bias = packed_->bias.get();
  projection_.projected = projected_.get();
  projection_.units = units;
}

Walk::Place Walk::Find(Index phase) const {
  const Index per_chunk = chunk_ * phases_per_step_ + 1;
  const Index in_chunk = phase % per_chunk;
  const Index half = in_chunk - 1;
  const Index first = phase / per_chunk * chunk_;
  if (in_chunk == 0) return {first, true, false, false};
  return {first + half / phases_per_step_, false, half % phases_per_step_ == 1,
          half % phases_per_step_ == phases_per_step_ - 1};
}

bool Walk::MaskedWhole(Index step) const {
  const bool* seen = mask(step);
  return seen != nullptr && std::none_of(seen, seen + rows_, [](bool is) { return is; });
}

void Walk::Restore(Index step, Index begin, Index end) const {
  const bool* seen = mask(step);
  if (seen == nullptr) return;
  const Index first = begin * packed_->block;
  const std::size_t bytes = static_cast<std::size_t>((end - begin) * packed_->block) * sizeof(float);
  for (Index i = 0; i < rows_; ++i) {
    if (seen[i]) continue;
    const Index at = i * padded_ + first;
    std::memcpy(h(step + 1) + at, h(step) + at, bytes);
    if (packed_->cell == Cell::kLstm) std::memcpy(c(step + 1) + at, c(step) + at, bytes);
  }
}

void Walk::Run(Index phase, Index begin, Index end) {
  const Routines& routines = packed_->routines;
  const Index gates = Gates(packed_->cell);
  const Place place = Find(phase);
  if (place.project) {
    Projection projection = projection_;
    projection.x += place.step * projection.x_stride;
    projection.rows = std::min(chunk_, steps_ - place.step) * rows_;
    projection.begin = begin;
    projection.end = end;
    return routines.project(projection, static_cast<int>(gates));
  }
  if (MaskedWhole(place.step)) return Restore(place.step, begin, end);
  Step step = {};
  step.projected = projected_.get() + place.step % chunk_ * state_ * gates;
  step.recurrent = packed_->recurrent.get();
  step.candidate = packed_->candidate.get();
  step.bias = packed_->recurrent_bias.get();
  step.h = h(place.step);
  step.next = h(place.step + 1);
  step.rows = rows_;
  step.units = packed_->units;
  step.begin = begin;
  step.end = end;
  step.backwards = (before_ + place.step) % 2 == 1;  // the weights read last are still in the cache
  switch (packed_->cell) {
    case Cell::kLstm:
      step.c = c(place.step);
      step.next_c = c(place.step + 1);
      routines.lstm(step);
      break;
    case Cell::kGruResetAfter:
      routines.gru_reset_after(step);
      break;
    case Cell::kGruResetBefore:
      step.z = between_.get();
      step.reset_h = between_.get() + state_;
      place.second ? routines.gru_candidate(step) : routines.gru_gates(step);
  }
  if (place.last) Restore(place.step, begin, end);
}

void Walk::WriteStep(Index phase, const Sequence& s) const {
  const Place place = Find(phase);
  if (!place.last || (s.y == nullptr && mask_ == nullptr)) return;
  const Index units = packed_->units;
  float* const y = s.y == nullptr ? nullptr : s.y + place.step * s.y_stride;
  if (mask_ == nullptr) return CopyRows(h(place.step + 1), padded_, y, s.y_row, rows_, units);
  for (Index i = 0; i < rows_; ++i) {
    float* const last = s.last + i * units;
    if (mask(place.step)[i]) {
      CopyRows(h(place.step + 1) + i * padded_, 0, last, 0, 1, units);
    } else if (s.masked_is_zero || before_ + place.step == 0) {
      std::fill_n(last, units, 0.0F);
    }
    if (y != nullptr) CopyRows(last, 0, y + i * s.y_row, 0, 1, units);
  }
}

void Walk::WriteStates(const Sequence& s) const {
  const Index units = packed_->units;
  if (s.h != nullptr) CopyRows(h(steps_), padded_, s.h, units, rows_, units);
  if (s.c != nullptr) CopyRows(c(steps_), padded_, s.c, units, rows_, units);
}

Sequence Walk::Rest(Index phase, const Sequence& sequence) const {
  const Index step = Find(phase).step;
  Sequence rest = sequence;
  rest.steps -= step;
  rest.x += step * rest.x_stride;
  rest.h0 = h(step);
  rest.h0_row = padded_;
  if (packed_->cell == Cell::kLstm) {
    rest.c0 = c(step);
    rest.c0_row = padded_;
  }
  if (rest.y != nullptr) rest.y += step * rest.y_stride;
  if (rest.mask != nullptr) rest.mask += step * rest.mask_stride;
  return rest;
}

}  // namespace savedmodel::engine::rnn
