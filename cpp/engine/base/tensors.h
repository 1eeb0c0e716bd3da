// SPDX-License-Identifier: Apache-2.0
// Converts between Tensor and tensorflow::Tensor; the only place that does. Decides what is borrowed or
// copied.
#pragma once

#include "savedmodel/tensor.h"
#include "tensorflow/core/framework/tensor.h"

namespace savedmodel::engine {

// Makes `feed` from `tensor`. If `borrow`, it borrows aligned memory for the lifetime of `tensor`; else it
// copies. The borrowed buffer reports that it does not own its memory, so no kernel writes a result into it.
// A feed that already borrows the same memory is reused.
void ToTensorFlow(const Tensor& tensor, bool borrow, tensorflow::Tensor* feed);

// Call after a run, while the feed's source still exists. Drops the feed, except an idle borrowed buffer,
// which the next run can reuse cheaply. If something else still holds the borrowed memory, makes it own its
// source and returns true.
bool EndFeed(tensorflow::Tensor* feed);

// Frees a large tensor's memory so that its pages leave the process at once, if nobody else holds it:
// TensorFlow's pool of large tensors, which exists where oneDNN is on, keeps the pages of freed ones.
void FreePages(tensorflow::Tensor tensor);
// Gives the pages of a tensor back that nobody reads any more, though somebody holds it.
void DropPages(const tensorflow::Tensor& tensor);

// A view on `tensor`'s memory; strings get an array of views. Copies nothing.
Tensor FromTensorFlow(tensorflow::Tensor tensor);

bool SameShape(const tensorflow::Tensor& tensor, const Shape& shape);

// True if the two overlap in memory.
bool Overlaps(const tensorflow::Tensor& a, const tensorflow::Tensor& b);

// True if both have the same type, shape and values, bit for bit.
bool SameValue(const Tensor& a, const Tensor& b);

}  // namespace savedmodel::engine
