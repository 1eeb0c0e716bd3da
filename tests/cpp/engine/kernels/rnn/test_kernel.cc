// SPDX-License-Identifier: Apache-2.0
// LSTM and GRU kernels of every instruction set of this machine, compared with plain loops in double
// precision.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <tuple>

#include "engine/kernels/rnn/kernel.h"
#include "engine/kernels/rnn/team.h"
#include "gtest/gtest.h"

namespace savedmodel::engine::rnn {
namespace {

constexpr Cell kCells[] = {Cell::kLstm, Cell::kGruResetAfter, Cell::kGruResetBefore};
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::size_t Size(std::int64_t n) { return static_cast<std::size_t>(n); }

std::vector<float> Random(std::int64_t count, unsigned seed, float scale = 1.0F) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> number(-scale, scale);
  std::vector<float> numbers(Size(count));
  for (float& x : numbers) x = number(generator);
  return numbers;
}

// A network with its weights, and one batch of sequences for it, batch-major.
struct Case {
  Case(Cell a_cell, std::int64_t a_batch, std::int64_t a_steps, std::int64_t an_inputs, std::int64_t a_units,
       float scale = 0.5F)
      : cell(a_cell), batch(a_batch), steps(a_steps), inputs(an_inputs), units(a_units) {
    const std::int64_t width = Gates(cell) * units;
    kernel = Random(inputs * width, 1, scale);
    recurrent = Random(units * width, 2, scale);
    bias = Random(width, 3, scale);
    if (cell == Cell::kGruResetAfter) recurrent_bias = Random(width, 4, scale);
    x = Random(batch * steps * inputs, 5, 2.0F);
    h0 = Random(batch * units, 6);
    if (cell == Cell::kLstm) c0 = Random(batch * units, 7);
  }
  Weights weights() const {
    const auto pointer = [](const std::vector<float>& v) { return v.empty() ? nullptr : v.data(); };
    return {inputs, units, kernel.data(), recurrent.data(), pointer(bias), pointer(recurrent_bias)};
  }
  Cell cell;
  std::int64_t batch, steps, inputs, units;
  // Masks about one step in three, including the first and the last of some rows.
  void Mask() {
    mask = std::shared_ptr<bool[]>(new bool[Size(batch * steps)]);
    std::mt19937 generator(8);
    for (std::int64_t i = 0; i < batch * steps; ++i) mask[i] = generator() % 3 != 0;
  }
  bool reverse = false, masked_is_zero = false;
  std::shared_ptr<bool[]> mask;  // [batch, steps]
  std::vector<float> kernel, recurrent, bias, recurrent_bias, x, h0, c0;
};

struct Result {
  std::vector<float> y, h, c, last;
};

struct Reference {
  std::vector<double> y, h, c;
};

double Sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

double At(const std::vector<float>& v, std::int64_t i) {
  return v.empty() ? 0.0 : static_cast<double>(v[Size(i)]);
}

Reference Expect(const Case& n) {
  const std::int64_t gates = Gates(n.cell), width = gates * n.units;
  Reference out{std::vector<double>(Size(n.batch * n.steps * n.units)), {}, {}};
  for (std::int64_t row = 0; row < n.batch; ++row) {
    std::vector<double> h(Size(n.units)), c(Size(n.units));
    for (std::int64_t u = 0; u < n.units; ++u) {
      h[Size(u)] = At(n.h0, row * n.units + u);
      c[Size(u)] = At(n.c0, row * n.units + u);
    }
    for (std::int64_t t = 0; t < n.steps; ++t) {
      const std::int64_t from = (row * n.steps + (n.reverse ? n.steps - 1 - t : t)) * n.inputs;
      const auto input = [&](std::int64_t g, std::int64_t u) {
        double sum = At(n.bias, g * n.units + u);
        for (std::int64_t k = 0; k < n.inputs; ++k) {
          sum += At(n.x, from + k) * At(n.kernel, k * width + g * n.units + u);
        }
        return sum;
      };
      const auto recurrent = [&](const std::vector<double>& state, std::int64_t g, std::int64_t u) {
        double sum = At(n.recurrent_bias, g * n.units + u);
        for (std::int64_t k = 0; k < n.units; ++k) {
          sum += state[Size(k)] * At(n.recurrent, k * width + g * n.units + u);
        }
        return sum;
      };
      if (n.mask != nullptr && !n.mask[from / n.inputs]) {
        for (std::int64_t u = 0; u < n.units; ++u) {
          const std::int64_t at = (row * n.steps + t) * n.units + u;
          out.y[Size(at)] = t == 0 || n.masked_is_zero ? 0.0 : out.y[Size(at - n.units)];
        }
        continue;
      }
      std::vector<double> next(Size(n.units)), reset_h(Size(n.units));
      for (std::int64_t u = 0; u < n.units; ++u) {
        reset_h[Size(u)] = Sigmoid(input(1, u) + recurrent(h, 1, u)) * h[Size(u)];
      }
      for (std::int64_t u = 0; u < n.units; ++u) {
        const double gate0 = Sigmoid(input(0, u) + recurrent(h, 0, u));
        const double gate1 = Sigmoid(input(1, u) + recurrent(h, 1, u));
        if (n.cell == Cell::kLstm) {
          const double candidate = std::tanh(input(2, u) + recurrent(h, 2, u));
          c[Size(u)] = gate1 * c[Size(u)] + gate0 * candidate;
          next[Size(u)] = Sigmoid(input(3, u) + recurrent(h, 3, u)) * std::tanh(c[Size(u)]);
        } else {
          const double product =
              n.cell == Cell::kGruResetAfter ? gate1 * recurrent(h, 2, u) : recurrent(reset_h, 2, u);
          next[Size(u)] = gate0 * h[Size(u)] + (1.0 - gate0) * std::tanh(input(2, u) + product);
        }
        out.y[Size((row * n.steps + t) * n.units + u)] = next[Size(u)];
      }
      h = next;
    }
    out.h.insert(out.h.end(), h.begin(), h.end());
    out.c.insert(out.c.end(), c.begin(), c.end());
  }
  return out;
}

Result Compute(const Case& n, const std::function<void(const Sequence&)>& run) {
  Result out{std::vector<float>(Size(n.batch * n.steps * n.units), kNan),
             std::vector<float>(Size(n.batch * n.units), kNan),
             std::vector<float>(Size(n.batch * n.units), kNan),
             std::vector<float>(Size(n.batch * n.units), kNan)};
  Sequence s;
  s.steps = n.steps;
  s.batch = n.batch;
  s.x_stride = n.reverse ? -n.inputs : n.inputs;
  s.x_row = n.steps * n.inputs;
  s.x = n.x.data() + (n.reverse && n.steps > 0 ? (n.steps - 1) * n.inputs : 0);
  s.h0 = n.h0.empty() ? nullptr : n.h0.data();
  s.c0 = n.c0.empty() ? nullptr : n.c0.data();
  s.h0_row = s.c0_row = n.units;
  s.y = out.y.data();
  s.y_stride = n.units;
  s.y_row = n.steps * n.units;
  s.h = out.h.data();
  s.c = n.cell == Cell::kLstm ? out.c.data() : nullptr;
  if (n.mask != nullptr) {
    s.mask = n.mask.get() + (n.reverse ? n.steps - 1 : 0);
    s.mask_stride = n.reverse ? -1 : 1;
    s.mask_row = n.steps;
    s.masked_is_zero = n.masked_is_zero;
    s.last = out.last.data();
  }
  run(s);
  return out;
}

Result Compute(const Case& n, const Network& network, const Threads& threads = {}) {
  return Compute(n, [&](const Sequence& sequence) { network.Run(sequence, threads); });
}

// The largest difference, relative to the largest expected value.
double Error(const std::vector<float>& values, const std::vector<double>& expected) {
  double largest = 0.0, scale = 1e-30;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double error = std::abs(static_cast<double>(values[i]) - expected[i]);
    largest = std::isnan(error) ? 1e30 : std::max(largest, error);
    scale = std::max(scale, std::abs(expected[i]));
  }
  return largest / scale;
}

std::string Describe(const Case& n, Isa isa) {
  return "cell " + std::to_string(static_cast<int>(n.cell)) + " isa " +
         std::to_string(static_cast<int>(isa)) + " batch " + std::to_string(n.batch) + " steps " +
         std::to_string(n.steps) + " inputs " + std::to_string(n.inputs) + " units " +
         std::to_string(n.units);
}

void Check(const Case& n, const Threads& threads = {}, double tolerance = 1e-6) {
  const Reference expected = Expect(n);
  for (const Isa isa : AvailableIsas()) {
    SCOPED_TRACE(Describe(n, isa));
    const Network network(n.cell, n.weights(), isa);
    const Result result = Compute(n, network, threads);
    EXPECT_LE(Error(result.y, expected.y), tolerance);
    EXPECT_LE(Error(result.h, expected.h), tolerance);
    if (n.cell == Cell::kLstm) {
      EXPECT_LE(Error(result.c, expected.c), tolerance);
    }
    for (std::int64_t i = 0; n.mask != nullptr && i < n.batch * n.units; ++i) {
      const std::int64_t row = i / n.units, last = (row * n.steps + n.steps - 1) * n.units + i % n.units;
      EXPECT_EQ(result.last[Size(i)], result.y[Size(last)]);
    }
  }
}

// A separate thread for each part, more than there are rows or blocks.
class ManyThreads {
 public:
  explicit ManyThreads(int count)
      : threads{count,
                [count](std::int64_t n, const std::function<void(std::int64_t, std::int64_t)>& body) {
                  std::vector<std::thread> workers;
                  for (std::int64_t i = 0; i < count; ++i) {
                    workers.emplace_back([&, i] {
                      if (i * n / count < (i + 1) * n / count) body(i * n / count, (i + 1) * n / count);
                    });
                  }
                  for (std::thread& worker : workers) worker.join();
                },
                [this](std::function<void()> task) { started_.emplace_back(std::move(task)); }} {}
  ~ManyThreads() {
    for (std::thread& thread : started_) thread.join();
  }
  ManyThreads(const ManyThreads&) = delete;
  ManyThreads& operator=(const ManyThreads&) = delete;
  std::size_t started() const { return started_.size(); }

  const Threads threads;

 private:
  std::vector<std::thread> started_;
};

TEST(RnnKernel, EveryMachineHasOne) { EXPECT_EQ(AvailableIsas().front(), Isa::kGeneric); }

TEST(RnnKernel, Units) {
  for (const Cell cell : kCells) {
    for (const std::int64_t units :
         {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 100, 128}) {
      Check(Case(cell, 1, 5, 3, units, units > 32 ? 0.1F : 0.5F));
    }
  }
}

TEST(RnnKernel, Batches) {
  for (const Cell cell : kCells) {
    for (std::int64_t batch = 1; batch <= 20; ++batch) {
      Check(Case(cell, batch, 4, 5, 21, 0.2F));
      Check(Case(cell, batch, 3, 2, 6));
    }
  }
}

TEST(RnnKernel, Inputs) {
  for (const Cell cell : kCells) {
    for (const std::int64_t inputs : {0, 1, 2, 16, 129}) Check(Case(cell, 2, 3, inputs, 11, 0.2F));
  }
}

TEST(RnnKernel, StepsAndDirections) {
  for (const Cell cell : kCells) {
    for (const std::int64_t steps : {0, 1, 2, 65, 200}) {
      Case n(cell, 2, steps, 4, 19, 0.2F);
      Check(n);
      n.reverse = true;
      Check(n);
    }
  }
}

TEST(RnnKernel, Masks) {
  for (const Cell cell : kCells) {
    for (const std::int64_t batch : {1, 2, 5}) {
      Case n(cell, batch, 9, 3, 19, 0.3F);
      n.Mask();
      for (const bool reverse : {false, true}) {
        for (const bool zero : {false, true}) {
          n.reverse = reverse;
          n.masked_is_zero = zero;
          Check(n);
        }
      }
    }
    ManyThreads many(4);
    Case n(cell, 5, 60, 30, 100, 0.05F);
    n.Mask();
    Check(n, many.threads);
  }
}

TEST(RnnKernel, WithoutBiasesAndStates) {
  for (const Cell cell : kCells) {
    Case n(cell, 3, 4, 5, 9);
    n.bias.clear();
    n.recurrent_bias.clear();
    n.h0.clear();
    n.c0.clear();
    Check(n);
  }
}

TEST(RnnKernel, SmallNumbersKeepTheirDigits) {
  for (const Cell cell : kCells) {
    Case n(cell, 1, 6, 4, 10, 1e-4F);
    for (auto* numbers : {&n.x, &n.h0, &n.c0}) {
      for (float& x : *numbers) x *= 1e-3F;
    }
    Check(n);
  }
}

TEST(RnnKernel, LargeNumbersSaturate) {
  for (const Cell cell : kCells) {
    for (const float scale : {10.0F, 1e3F, 1e6F, 1e30F}) {
      Case n(cell, 1, 3, 2, 5, 0.0F);
      n.bias = Random(Gates(cell) * n.units, 9, scale);
      Check(n);
    }
  }
}

// h = sigmoid(o) * tanh(c), for an output gate o and a state c from the smallest to the largest values.
TEST(RnnKernel, GatesHoldRelativeToSmallResults) {
  const float kernel[] = {0, 0, 0, 1}, bias[] = {-200, 100, 0, 0}, recurrent[] = {0, 0, 0, 0};
  std::vector<float> x, c;
  for (const float gate : {-80.0F, -70.5F, -30.25F, -3.0F, 0.5F, 20.0F}) {
    for (float state = 0.01F; state < 30; state *= 1.07F) {
      for (const float sign : {-1.0F, 1.0F}) {
        x.push_back(gate);
        c.push_back(sign * state);
      }
    }
  }
  for (const Isa isa : AvailableIsas()) {
    const Network network(Cell::kLstm, {1, 1, kernel, recurrent, bias, nullptr}, isa);
    std::vector<float> h(x.size());
    Sequence s;
    s.steps = 1;
    s.batch = static_cast<std::int64_t>(x.size());
    s.x = x.data();
    s.c0 = c.data();
    s.x_row = s.c0_row = 1;
    s.h = h.data();
    network.Run(s);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double exact =
          1 / (1 + std::exp(-static_cast<double>(x[i]))) * std::tanh(static_cast<double>(c[i]));
      EXPECT_NEAR(static_cast<double>(h[i]) / exact, 1, 5e-7) << x[i] << ", " << c[i];
    }
  }
}

TEST(RnnKernel, LongSequencesLookWhetherToStop) {
  for (const int threads : {1, 2}) {
    std::atomic<int> asked{0};
    const Stop stop([](void* count) { return ++*static_cast<std::atomic<int>*>(count) > 10; }, &asked);
    const Case n(Cell::kLstm, threads, 10000, 3, 40);
    ManyThreads many(threads);
    Sequence s;
    s.steps = n.steps;
    s.batch = n.batch;
    s.x = n.x.data();
    s.x_stride = n.inputs;
    s.x_row = n.steps * n.inputs;
    s.stop = &stop;
    Network(n.cell, n.weights()).Run(s, many.threads);
    EXPECT_LT(asked.load(), 20);
  }
}

TEST(RnnKernel, Infinities) {
  for (const Cell cell : kCells) {
    Case n(cell, 1, 2, 1, 4, 0.0F);
    for (std::int64_t i = 0; i < Gates(cell) * n.units; ++i)
      n.bias[Size(i)] = i % 2 == 0 ? kInfinity : -kInfinity;
    Check(n);
  }
}

TEST(RnnKernel, NanComesThrough) {
  for (const Cell cell : kCells) {
    for (const Isa isa : AvailableIsas()) {
      Case n(cell, 2, 3, 2, 5);
      n.x[Size(n.inputs)] = kNan;  // row 0, step 1
      const Result result = Compute(n, Network(cell, n.weights(), isa));
      for (std::int64_t u = 0; u < n.units; ++u) {
        EXPECT_FALSE(std::isnan(result.y[Size(u)]));
        EXPECT_TRUE(std::isnan(result.y[Size(n.units + u)]));
        EXPECT_TRUE(std::isnan(result.h[Size(u)]));
        EXPECT_FALSE(std::isnan(result.h[Size(n.units + u)]));
      }
    }
  }
}

TEST(RnnKernel, OneStateRowForTheWholeBatch) {
  for (const Cell cell : kCells) {
    Case n(cell, 4, 3, 2, 5);
    for (std::int64_t i = n.units; i < n.batch * n.units; ++i) {
      for (auto* state : {&n.h0, &n.c0}) {
        if (!state->empty()) (*state)[Size(i)] = (*state)[Size(i % n.units)];
      }
    }
    const Reference expected = Expect(n);
    std::vector<float> h(Size(n.batch * n.units));
    Sequence s;
    s.steps = n.steps;
    s.batch = n.batch;
    s.x = n.x.data();
    s.x_stride = n.inputs;
    s.x_row = n.steps * n.inputs;
    s.h0 = n.h0.data();
    s.c0 = n.c0.empty() ? nullptr : n.c0.data();
    s.h = h.data();
    Network(cell, n.weights()).Run(s);
    EXPECT_LE(Error(h, expected.h), 1e-6);
  }
}

TEST(RnnKernel, LongSequencesAreProjectedInParts) {
  // The projection covers 2^19 floats at once.
  Check(Case(Cell::kLstm, 3, 700, 2, 70, 0.05F));
  Check(Case(Cell::kGruResetAfter, 1, 3000, 2, 65, 0.05F));
}

TEST(RnnKernel, RowsOfABatchInThreads) {
  for (const Cell cell : kCells) {
    ManyThreads many(8);
    Check(Case(cell, 2, 40, 300, 100, 0.05F), many.threads);
    Check(Case(cell, 5, 60, 30, 100, 0.05F), many.threads);
    EXPECT_EQ(many.started(), 0);
  }
}

// Equal with and without help, to the last bit.
void CheckTogether(const Case& n, int parts, const Threads& threads) {
  for (const Isa isa : AvailableIsas()) {
    SCOPED_TRACE(Describe(n, isa));
    const auto packed = std::make_shared<const Packed>(n.cell, n.weights(), isa);
    const auto run = [&](const auto& how) {
      return Compute(n, [&](const Sequence& sequence) { how(packed, sequence); });
    };
    const Result alone = run(RunAlone);
    const Result together = run([&](const auto& network, const Sequence& sequence) {
      RunTogether(network, sequence, parts, threads);
    });
    EXPECT_EQ(together.y, alone.y);
    EXPECT_EQ(together.h, alone.h);
    if (n.cell == Cell::kLstm) {
      EXPECT_EQ(together.c, alone.c);
    }
  }
}

TEST(RnnKernel, BlocksOfUnitsInThreads) {
  for (const Cell cell : kCells) {
    ManyThreads many(4);
    CheckTogether(Case(cell, 1, 70, 300, 130, 0.02F), 2, many.threads);
    CheckTogether(Case(cell, 1, 2, 3, 900, 0.01F), 4, many.threads);
    CheckTogether(Case(cell, 2, 30, 3, 100, 0.05F), 3, many.threads);
    CheckTogether(Case(cell, 1, 1, 3, 9, 0.05F), 4, many.threads);  // more threads than blocks
    Case reverse(cell, 1, 75, 5, 129, 0.05F);
    reverse.reverse = true;
    CheckTogether(reverse, 4, many.threads);
    reverse.Mask();
    CheckTogether(reverse, 4, many.threads);
  }
  ManyThreads two(2);
  CheckTogether(Case(Cell::kLstm, 1, 1300, 2, 128, 0.05F), 2, two.threads);  // projected in parts
  CheckTogether(Case(Cell::kGruResetBefore, 1, 1400, 2, 130, 0.05F), 2, two.threads);
}

TEST(RnnKernel, ThreadsAreAskedForHelp) {
  for (const Cell cell : kCells) {
    ManyThreads many(2);
    const Case n(cell, 1, 64, 64, 128, 0.05F);
    const Network network(cell, n.weights());
    const Result alone = Compute(n, network);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(Compute(n, network, many.threads).y, alone.y);
    EXPECT_GT(many.started(), 0);
  }
}

TEST(RnnKernel, ThreadsThatComeTooLateOrNever) {
  for (const Cell cell : kCells) {
    std::vector<std::function<void()>> tasks;
    const Threads threads{4, nullptr, [&](std::function<void()> task) { tasks.push_back(std::move(task)); }};
    CheckTogether(Case(cell, 1, 60, 4, 128, 0.05F), 4, threads);
    EXPECT_EQ(tasks.size(), 3 * AvailableIsas().size());
    for (const auto& task : tasks) task();  // networks and sequences no longer exist
  }
}

// The rest of the work after a helper did not return.
TEST(RnnKernel, TheRestOfASequence) {
  for (int i = 0; i < 6; ++i) {
    const Cell cell = kCells[i / 2];
    Case n(cell, 2, 9, 5, 40, 0.1F);
    if (i % 2 == 1) n.Mask();
    const auto packed = std::make_shared<const Packed>(cell, n.weights(), BestIsa());
    const Index blocks = packed->Blocks();
    const Result expected = Compute(n, Network(cell, n.weights()));
    for (Index phase = 0; phase < n.steps; ++phase) {
      const Result result = Compute(n, [&](const Sequence& sequence) {
        Walk walk(packed, sequence, true);
        for (Index before = 0; before < phase; ++before) {
          walk.Run(before, 0, blocks);
          walk.WriteStep(before, sequence);
        }
        walk.Run(phase, 0, 1);  // in part
        const Sequence rest = walk.Rest(phase, sequence);
        Walk other(packed, rest, false, n.steps - rest.steps);
        for (Index after = 0; after < other.phases(); ++after) {
          other.Run(after, 0, blocks);
          other.WriteStep(after, rest);
        }
        other.WriteStates(rest);
      });
      EXPECT_EQ(result.y, expected.y) << phase;
      EXPECT_EQ(result.h, expected.h) << phase;
      if (n.mask != nullptr) {
        EXPECT_EQ(result.last, expected.last) << phase;
      }
    }
  }
}

TEST(RnnKernel, HelpThatDoesNotPayIsAskedForLessOften) {
  const auto helped = [](double rate) {
    HelpChoice choice;
    int count = 0;
    for (int i = 0; i < 1000; ++i) {
      const bool together = choice.Together();
      count += together ? 1 : 0;
      choice.Learn(together, together ? rate : 1.0);
    }
    return count;
  };
  EXPECT_GT(helped(0.6), 980);
  EXPECT_LT(helped(1.5), 40);
  HelpChoice slow_start;  // after a run without help, the first with help is always slow
  int after_help = 0;
  for (int i = 0; i < 1000; ++i) {
    const bool together = slow_start.Together();
    slow_start.Learn(together, !together ? 1.0 : after_help > 0 ? 0.6 : 1.4);
    after_help = together ? after_help + 1 : 0;
  }
  EXPECT_GT(after_help, 50);
  HelpChoice choice;
  for (int i = 0; i < 100; ++i) choice.Learn(choice.Together(), 1.0);  // busy
  int count = 0;
  for (int i = 0; i < 1000; ++i) {
    const bool together = choice.Together();
    count += together ? 1 : 0;
    choice.Learn(together, together ? 0.6 : 1.0);
  }
  EXPECT_GT(count, 900);
}

TEST(RnnKernel, OneNetworkInManyThreadsAtOnce) {
  const Case n(Cell::kLstm, 2, 30, 8, 40, 0.1F);
  const Network network(n.cell, n.weights());
  const Result alone = Compute(n, network);
  std::vector<Result> results(4);
  std::vector<std::thread> threads;
  for (Result& result : results) threads.emplace_back([&] { result = Compute(n, network); });
  for (std::thread& thread : threads) thread.join();
  for (const Result& result : results) EXPECT_EQ(result.y, alone.y);
}

}  // namespace
}  // namespace savedmodel::engine::rnn
