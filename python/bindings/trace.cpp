// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/trace.h"

#include <pybind11/stl.h>

#include "bindings.h"

namespace savedmodel::python {

void bind_trace(py::module_& m) {
  py::class_<TraceEvent>(m, "TraceEvent", "One node's execution.")
      .def_readonly("device", &TraceEvent::device)
      .def_readonly("node", &TraceEvent::node)
      .def_readonly("op", &TraceEvent::op)
      .def_readonly("thread", &TraceEvent::thread)
      .def_property_readonly(
          "start", [](const TraceEvent& event) { return static_cast<double>(event.start_ns) * 1e-9; },
          "Seconds since the epoch.")
      .def_property_readonly(
          "duration", [](const TraceEvent& event) { return static_cast<double>(event.duration_ns) * 1e-9; },
          "Seconds.")
      .def_readonly("start_ns", &TraceEvent::start_ns)
      .def_readonly("duration_ns", &TraceEvent::duration_ns)
      .def("__repr__", [](const TraceEvent& event) {
        return "TraceEvent('" + event.node + "', op='" + event.op + "', " +
               std::to_string(event.duration_ns / 1000) + " us)";
      });
  py::class_<Trace>(m, "Trace", "Step statistics of a run.")
      .def(py::init<>())
      .def_readonly("events", &Trace::events)
      .def_property_readonly(
          "run_metadata", [](const Trace& trace) { return py::bytes(trace.run_metadata); },
          "Serialized tensorflow.RunMetadata.");
}

}  // namespace savedmodel::python
