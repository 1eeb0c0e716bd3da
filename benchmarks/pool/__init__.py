"""The pool of one model by itself: what a parallel region costs, with no TensorFlow around it."""
