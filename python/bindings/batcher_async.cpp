// SPDX-License-Identifier: Apache-2.0
// Batcher.submit and run_async. Requests that coroutines of an event loop make in one turn of it are handed
// over together at its end; what is quick runs in the loop's thread, and all results that are there by the
// loop's next turn reach it in one call.
#include <algorithm>
#include <chrono>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "async.h"
#include "batcher.h"
#include "gil.h"
#include "numpy.h"
#include "runtime.h"
#include "trust.h"

namespace savedmodel::python {

namespace {

// A loop waits for a shorter run, because a thread of the pool would tell it of the end no sooner.
constexpr double kQuick = 200e-6;
// What a turn of the loop costs a request: joining others has to save more.
constexpr double kTurn = 5e-6;
// One caller alone joins nobody; whether others have come is looked at in one of so many requests.
constexpr unsigned kLooks = 256;
// After a run that took so long in the loop's thread, so many do not.
constexpr double kFarTooSlow = 5e-3;

PyObject* Interned(const char* text) { return PyUnicode_InternFromString(text); }

// Requires GIL.
py::object Call(PyObject* object, PyObject* method, PyObject* argument = nullptr) {
  PyObject* const result = argument == nullptr ? PyObject_CallMethodNoArgs(object, method)
                                               : PyObject_CallMethodOneArg(object, method, argument);
  if (result == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

PyObject* AsObject(const std::shared_ptr<const void>& kept) {
  return static_cast<PyObject*>(const_cast<void*>(kept.get()));
}

}  // namespace

// The requests of one event loop. All but `Ended` requires the GIL.
class BatchLoop : public std::enable_shared_from_this<BatchLoop> {
 public:
  BatchLoop(PyObject* loop, std::shared_ptr<BatcherState> state)
      : loop_(Keep(loop)), state_(std::move(state)) {}
  ~BatchLoop() = default;
  BatchLoop(const BatchLoop&) = delete;
  BatchLoop& operator=(const BatchLoop&) = delete;

  py::object Join(std::vector<Tensor> inputs, RunOptions options) {
    static PyObject *const create = Interned("create_future"), *const call_soon = Interned("call_soon");
    py::object future = Call(Loop(), create);
    options.cancellation = std::make_shared<Cancellation>();
    const std::shared_ptr<const void> kept = Keep(future.ptr());
    const auto done = [self = shared_from_this(), kept](const Error* error, std::vector<Tensor> results) {
      self->Ended(kept, error == nullptr ? nullptr : Copy(*error), std::move(results));
    };
    if (pending_.empty()) {
      if (flush_ == nullptr) flush_ = Keep(Caller(&BatchLoop::Flush).ptr());
      (void)Call(Loop(), call_soon, AsObject(flush_));
    }
    requests_.emplace(future.ptr(), options.cancellation);
    pending_.push_back({std::move(inputs), done, std::move(options)});
    return future;
  }

  void Leave(PyObject* future) {
    const auto found = requests_.find(future);
    if (found == requests_.end()) return;
    const auto cancellation = found->second;
    WithoutGil([&] { cancellation->Cancel(); });
  }

  void StopAll() {
    std::vector<std::shared_ptr<Cancellation>> all;
    for (const auto& [future, cancellation] : requests_) all.push_back(cancellation);
    const ReleaseGil release;
    for (const auto& cancellation : all) cancellation->Cancel();
  }

  // Of a closed event loop.
  void Abandon() {
    pending_.clear();
    requests_.clear();
  }
  // True if the event loop can't use it any more.
  bool IsClosed() const { return py::handle(Loop()).attr("is_closed")().cast<bool>(); }
  // True if this request had better run at once, in this thread.
  bool IsBetterAlone(const Batcher& batcher) {
    if (!pending_.empty() || state_->waits) return false;
    const double saving = batcher.Saving().count();
    if (saving > 0 && saving < kTurn) return true;
    return together_ < 2 && is_quick_ && !trust_.Ends() && ++alone_ % kLooks != 0;
  }
  // A turn of the loop was spent on runs: their time may depend on values.
  void Learn(std::chrono::duration<double> run) {
    is_quick_ = run.count() < kQuick;
    if (run.count() > kFarTooSlow) {
      trust_.FarTooSlow();
    } else {
      trust_.Quick();
    }
  }

 private:
  struct End {
    std::shared_ptr<const void> future;
    std::exception_ptr error;
    std::vector<Tensor> results;
  };

  PyObject* Loop() const { return AsObject(loop_); }
  // A Python function that calls the method.
  py::object Caller(void (BatchLoop::*method)()) {
    return py::cpp_function([weak = weak_from_this(), method] {
      auto self = weak.lock();
      if (self == nullptr) return;
      (self.get()->*method)();
      if (self.use_count() > 1) return;
      const ReleaseGil release;  // this may be the last reference to the session
      self.reset();
    });
  }

  void Flush() {
    std::vector<Batcher::Request> requests = std::exchange(pending_, {});
    together_ = requests.size();
    const auto begin = std::chrono::steady_clock::now();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      flushes_ = true;
    }
    if (RunsEnd()) {
      const Error error(Code::kCancelled, "a run can't start while the interpreter ends");
      for (const Batcher::Request& request : requests) request.done(&error, {});
    } else {
      try {
        const ReleaseGil release;
        state_->batcher.RunAsync(std::move(requests), trust_.Ends() ? 0 : kQuick);
      } catch (const Error&) {  // out of memory
        PyErr_NoMemory();
        PyErr_WriteUnraisable(Py_None);
      }
      try {
        AfterCall();
      } catch (py::error_already_set& error_of_logging) {
        error_of_logging.discard_as_unraisable("savedmodel's log records");
      }
    }
    const bool all = Drain() == together_;
    Learn(std::chrono::steady_clock::now() - begin);
    is_quick_ &= all && together_ == 1;
  }

  // Called once for each request, in any thread, without the GIL.
  void Ended(const std::shared_ptr<const void>& future, std::exception_ptr error,
             std::vector<Tensor> results) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ended_.push_back({future, std::move(error), std::move(results)});
      if (flushes_ || std::exchange(told_, true)) return;
    }
    if (InterpreterEnds()) return;
    const AcquireGil gil;
    ParkWhereUnwound guard;
    try {
      static PyObject* const call_soon = Interned("call_soon_threadsafe");
      if (drain_ == nullptr) drain_ = Keep(Caller(&BatchLoop::DrainAll).ptr());
      (void)Call(Loop(), call_soon, AsObject(drain_));
    } catch (py::error_already_set& closed) {
      Lost(&closed);
    }
    guard.armed = false;
  }

  void DrainAll() { (void)Drain(); }

  void Lost(py::error_already_set* error) {
    std::vector<End> lost;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      lost.swap(ended_);
    }
    for (const End& end : lost) requests_.erase(AsObject(end.future));
    if (!error->matches(PyExc_RuntimeError)) return error->discard_as_unraisable("a batch's results");
    py::module_::import("logging")
        .attr("getLogger")("savedmodel")
        .attr("warning")("a run ended after its event loop; its results are lost");
  }

  // Returns how many requests it told of their end.
  std::size_t Drain() {
    std::vector<End> ended;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ended.swap(ended_);
      flushes_ = told_ = false;
    }
    for (End& end : ended) {
      static PyObject *const done = Interned("done"), *const set_result = Interned("set_result");
      PyObject* const future = AsObject(end.future);
      requests_.erase(future);
      if (Call(future, done).is(py::handle(Py_True))) continue;  // cancelled
      py::object results;
      try {
        if (end.error == nullptr) {
          results = Results(state_->signature, state_->bound, end.results.data(), Outs(0));
        }
      } catch (...) {
        end.error = std::current_exception();
      }
      if (end.error != nullptr) {
        py::handle(future).attr("set_exception")(AsException(std::move(end.error)));
      } else {
        (void)Call(future, set_result, results.ptr());
      }
    }
    return ended.size();
  }

  const std::shared_ptr<const void> loop_;
  std::shared_ptr<const void> flush_, drain_;  // Python functions
  const std::shared_ptr<BatcherState> state_;
  std::vector<Batcher::Request> pending_;
  std::size_t together_ = 0;  // requests of the last turn
  bool is_quick_ = false;     // the last single request was
  unsigned alone_ = 0;        // requests that ran at once
  Trust trust_;
  std::unordered_map<PyObject*, std::shared_ptr<Cancellation>> requests_;  // by future

  std::mutex mutex_;  // guards the members below
  std::vector<End> ended_;
  bool flushes_ = false;  // Drain will be called
  bool told_ = false;     // the loop will call Drain
};

namespace {

// Guarded by the GIL; never destroyed.
std::vector<std::weak_ptr<BatchLoop>>& AllLoops() {
  static auto* loops = new std::vector<std::weak_ptr<BatchLoop>>;
  return *loops;
}

BatchLoop& LoopOf(const std::shared_ptr<BatcherState>& state) {
  static PyObject* const running =
      py::object(py::module_::import("asyncio").attr("get_running_loop")).release().ptr();
  const auto loop = py::reinterpret_steal<py::object>(PyObject_CallNoArgs(running));
  if (!loop) throw py::error_already_set();
  const auto found = state->loops.find(loop.ptr());
  if (found != state->loops.end()) return *found->second;
  // A copy, as Python code may let another thread come here.
  const std::map<PyObject*, std::shared_ptr<BatchLoop>> known = state->loops;
  for (const auto& [one, batches] : known) {
    if (!batches->IsClosed()) continue;
    state->loops.erase(one);
    batches->Abandon();
  }
  auto& all = AllLoops();
  all.erase(std::remove_if(all.begin(), all.end(), [](const auto& one) { return one.expired(); }), all.end());
  auto made = std::make_shared<BatchLoop>(loop.ptr(), state);
  all.push_back(made);
  return *state->loops.emplace(loop.ptr(), std::move(made)).first->second;
}

// An awaitable of the results of a run that is over.
py::object RunNow(const BatchArguments& request, BatchLoop* loop) {
  py::object results;
  std::exception_ptr error;
  const auto begin = std::chrono::steady_clock::now();
  try {
    results =
        RunRequest(request.state, request.given, request.options.given ? &request.options.run : nullptr);
  } catch (...) {
    error = std::current_exception();
  }
  const auto end = std::chrono::steady_clock::now();
  loop->Learn(end - begin);
  return Ready(std::move(results), std::move(error), end);
}

PyObject* Join(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return Guarded([&] {
    const std::shared_ptr<BatcherState>& state = BatcherOf(self);
    BatchArguments request(*state, args, count, names);
    BatchLoop& loop = LoopOf(state);
    if (loop.IsBetterAlone(state->batcher)) return RunNow(request, &loop);
    return loop.Join(request.Inputs(), std::move(request.options.run));
  });
}

PyObject* Leave(PyObject* self, PyObject* future) {
  return Guarded([&]() -> py::object {
    LoopOf(BatcherOf(self)).Leave(future);
    return py::none();
  });
}

PyObject* Start(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return Guarded([&]() -> py::object {
    if (count < 1) throw py::type_error("_start() needs a callback");
    const std::shared_ptr<BatcherState>& state = BatcherOf(self);
    BatchArguments request(*state, args + 1, count - 1, names);
    std::vector<Tensor> inputs = request.Inputs();
    const auto start = [&](Function::Callback done, RunOptions options) {
      state->batcher.RunAsync(std::move(inputs), std::move(done), std::move(options));
    };
    const auto make = [kept = Keep(self), described = state.get()](std::vector<Tensor> results) {
      return Results(described->signature, described->bound, results.data(), Outs(0));
    };
    return StartRun(start, std::move(request.options.run), make, py::reinterpret_borrow<py::object>(args[0]));
  });
}

}  // namespace

void StopBatches() {
  const std::vector<std::weak_ptr<BatchLoop>> all = AllLoops();
  for (const auto& weak : all) {
    if (const auto loop = weak.lock()) loop->StopAll();
  }
}

PyMethodDef batcher_async_methods[3] = {
    {"_start", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&Start)),
     METH_FASTCALL | METH_KEYWORDS, "Start a run; done(error, results) is called in another thread."},
    {"_join", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&Join)),
     METH_FASTCALL | METH_KEYWORDS,
     "Make a request of the running event loop, and return what can be awaited."},
    {"_leave", &Leave, METH_O, "Stop the request of that future."}};

}  // namespace savedmodel::python
