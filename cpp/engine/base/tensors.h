// SPDX-License-Identifier: Apache-2.0
// Tensor <-> tensorflow::Tensor; the only place. Says what is borrowed and what is copied.
#pragma once

#include "savedmodel/tensor.h"
#include "tensorflow/core/framework/tensor.h"

namespace savedmodel::engine {

// Makes `feed` from `tensor`: borrows aligned memory, for as long as `tensor` is there, if `borrow`, else
// copies it into memory of TensorFlow's. The borrowed buffer says that it does not own its memory, so that no
// kernel writes a result into it. A feed that borrows the same memory already is used again.
void ToTensorFlow(const Tensor& tensor, bool borrow, tensorflow::Tensor* feed);

// For a feed after its run, while what it was made of is still there: drops it, but for an idle borrowed
// buffer, which costs next to nothing to keep and is the next run's. If somebody else holds the borrowed
// memory now, makes it own its source, and returns true.
bool EndFeed(tensorflow::Tensor* feed);

// A view on `tensor`'s memory; strings get an array of views on them. Nothing is copied.
Tensor FromTensorFlow(tensorflow::Tensor tensor);

bool SameShape(const tensorflow::Tensor& tensor, const Shape& shape);

// True if the two overlap in memory.
bool Overlaps(const tensorflow::Tensor& a, const tensorflow::Tensor& b);

// True if both have the same type, shape and values, bit for bit.
bool SameValue(const Tensor& a, const Tensor& b);

}  // namespace savedmodel::engine
