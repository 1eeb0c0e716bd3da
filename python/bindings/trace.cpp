// SPDX-License-Identifier: Apache-2.0
#include "savedmodel/trace.h"

#include <pybind11/stl.h>

#include "bindings.h"

namespace savedmodel::python {

void bind_trace(py::module_& m) {
  py::class_<TraceEvent>(m, "TraceEvent", "The execution of one node of the graph that ran.")
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
      .def_readonly("part", &TraceEvent::part,
                    "Another thread did this part of a node's work. The node's own event covers the time.")
      .def_property_readonly(
          "origins",
          [](const TraceEvent& event) {
            py::tuple pairs(event.origins.size());
            for (std::size_t i = 0; i < pairs.size(); ++i)
              pairs[i] = py::make_tuple(event.origins[i].node, event.origins[i].op);
            return pairs;
          },
          "What the node computes, as (name, op) of nodes of the graph as loaded, in its order. Empty if it "
          "is "
          "one of them, or if that is not known.")
      .def("__repr__", [](const TraceEvent& event) {
        return "TraceEvent('" + event.node + "', op='" + event.op + "', " +
               std::to_string(event.duration_ns / 1000) + " us)";
      });
  py::class_<Trace>(m, "Trace", "Step statistics of a run.")
      .def(py::init<>())
      .def_readonly("events", &Trace::events)
      .def_property_readonly(
          "run_metadata", [](const Trace& trace) { return py::bytes(trace.run_metadata); },
          "Serialized tensorflow.RunMetadata.")
      .def_property_readonly(
          "duration", [](const Trace& trace) { return static_cast<double>(trace.duration_ns) * 1e-9; },
          "Seconds: the whole run, with what it takes beside the nodes. In a session: from the first node to "
          "the last.")
      .def_readonly("session", &Trace::session, "A TensorFlow session ran the graph as loaded.");
}

}  // namespace savedmodel::python
