#include "bench/quantization_bench.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <hawser/hawser.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>

namespace hawser::bench {
namespace {

struct Scheme {
  const char* name;
  hawserQuantization_t quantization;
};
constexpr std::array kSchemes{
    Scheme{"none", {hawserQuantizeNone, hawserToUint8, 0, 0}},
    Scheme{"cast to float16", {hawserQuantizeCast, hawserToFloat16, 0, 0}},
    Scheme{"cast to bfloat16", {hawserQuantizeCast, hawserToBfloat16, 0, 0}},
    Scheme{"min_max to uint16", {hawserQuantizeMinMax, hawserToUint16, 0, 0}},
    Scheme{"min_max to uint8", {hawserQuantizeMinMax, hawserToUint8, 0, 0}},
    Scheme{"zero_point_scale to uint8", {hawserQuantizeZeroPointScale, hawserToUint8, 0, 0}},
    Scheme{"blockwise (256) to int8", {hawserQuantizeBlockwise, hawserToInt8, 256, 0}},
    Scheme{"blockwise (64) to int8", {hawserQuantizeBlockwise, hawserToInt8, 64, 0}},
    Scheme{"blockwise (64) to int8, stochastic", {hawserQuantizeBlockwise, hawserToInt8, 64, 1}},
    Scheme{"blockwise (256) to int4", {hawserQuantizeBlockwise, hawserToInt4, 256, 0}},
    Scheme{"blockwise (64) to int4", {hawserQuantizeBlockwise, hawserToInt4, 64, 0}},
};

enum class Kind { normal, heavy_tailed, scale_varying };
constexpr std::array kKinds{Kind::normal, Kind::heavy_tailed, Kind::scale_varying};

using Values = std::vector<float>;

Values draw(Kind kind, std::uint64_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::student_t_distribution<float> student(2);
  Values values(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    if (kind == Kind::heavy_tailed)
      values[i] = student(random);
    else  // Layers of 4096 values, each of its own size.
      values[i] =
          normal(random) * (kind == Kind::scale_varying ? std::pow(10.0F, static_cast<float>(i / 4096 % 7) - 5) : 1);
  }
  return values;
}

/// Members in threads of this process.
class World {
 public:
  explicit World(std::uint32_t size) {
    auto master = Master::create({.listen = "127.0.0.1:0", .bootstrap_ms = 200});
    if (!master || !master->start()) throw std::runtime_error("the master does not start");
    master_.push_back(std::move(*master));
    for (std::uint32_t i = 0; i < size; ++i) {
      auto comm = Communicator::create({.master = master_.front().address(), .listen_address = "127.0.0.1"});
      if (!comm) throw std::runtime_error(comm.error().sentence);
      comms_.push_back(std::move(*comm));
    }
    on_all([size](std::uint32_t, Communicator& comm) {
      auto joined = comm.connect();
      while (joined && comm.info()->group_size < size) joined = comm.update_topology();
      if (!joined) throw std::runtime_error(joined.error().sentence);
    });
  }
  std::uint32_t size() const { return static_cast<std::uint32_t>(comms_.size()); }

  void on_all(const std::function<void(std::uint32_t, Communicator&)>& body) {
    std::vector<std::thread> threads;
    std::vector<std::exception_ptr> failures(comms_.size());
    for (std::uint32_t i = 0; i < size(); ++i)
      threads.emplace_back([&, i] {
        try {
          body(i, comms_[i]);
        } catch (...) {
          failures[i] = std::current_exception();
        }
      });
    for (auto& thread : threads) thread.join();
    for (const auto& failure : failures)
      if (failure) std::rethrow_exception(failure);
  }

 private:
  std::vector<Master> master_;
  std::vector<Communicator> comms_;
};

double relative_error(const Values& got, const std::vector<double>& right) {
  double error = 0;
  double size = 0;
  for (std::size_t i = 0; i < right.size(); ++i) {
    const double lost = static_cast<double>(got[i]) - right[i];
    error += lost * lost;
    size += right[i] * right[i];
  }
  return std::sqrt(error / size);
}

struct Inputs {
  std::vector<Values> of_member;
  std::vector<double> sum;
};

Inputs inputs_of(Kind kind, std::uint32_t world, std::uint64_t count) {
  Inputs inputs{.of_member = {}, .sum = std::vector<double>(count)};
  for (std::uint32_t i = 0; i < world; ++i) {
    inputs.of_member.push_back(draw(kind, count, 100 + i));
    for (std::uint64_t k = 0; k < count; ++k) inputs.sum[k] += static_cast<double>(inputs.of_member.back()[k]);
  }
  return inputs;
}

struct Measured {
  Values result;
  double bytes_per_value = 0;  ///< That one member sends.
};

Measured reduce(World& world, const Inputs& inputs, const ReduceOptions& options,
                const std::vector<Residual>* residuals = nullptr) {
  std::vector<Values> results(world.size());
  std::vector<std::uint64_t> sent(world.size());
  world.on_all([&](std::uint32_t i, Communicator& comm) {
    ReduceOptions mine = options;
    if (residuals != nullptr) mine.residual = &(*residuals)[i];
    results[i].resize(inputs.sum.size());
    const auto reduced = comm.all_reduce(inputs.of_member[i], results[i], mine);
    if (!reduced) throw std::runtime_error(reduced.error().sentence);
    sent[i] = reduced->bytes_sent;
  });
  double bytes = 0;
  for (std::uint32_t i = 0; i < world.size(); ++i) {
    if (results[i] != results[0]) throw std::runtime_error("members hold different bits");
    bytes += static_cast<double>(sent[i]);
  }
  return {std::move(results[0]), bytes / world.size() / static_cast<double>(inputs.sum.size())};
}

void print_schemes(std::vector<World>& worlds, std::uint64_t count) {
  std::printf("| scheme | world | plan | bytes sent per value | normal | heavy-tailed | scale-varying |\n"
              "| --- | --- | --- | --- | --- | --- | --- |\n");
  for (World& world : worlds) {
    std::vector<Inputs> inputs;
    for (const Kind kind : kKinds) inputs.push_back(inputs_of(kind, world.size(), count));
    for (const Scheme& scheme : kSchemes)
      for (const hawserPlan_t plan : {hawserPlanDirect, hawserPlanRing}) {
        std::string row = std::string("| ") + scheme.name + " | " + std::to_string(world.size()) + " | " +
                          (plan == hawserPlanRing ? "ring" : "direct") + " | ";
        std::string errors;
        double bytes = 0;
        for (const Inputs& one : inputs) {
          const Measured measured = reduce(world, one, {.plan = plan, .quantization = scheme.quantization});
          bytes = measured.bytes_per_value;
          std::array<char, 32> text{};
          std::snprintf(text.data(), text.size(), "%.2g | ", relative_error(measured.result, one.sum));
          errors += text.data();
        }
        std::printf("%s%.3f | %s\n", row.c_str(), bytes, errors.c_str());
        std::fflush(stdout);
      }
  }
}

/// The error of the mean of so many equal steps, with and without feedback.
void print_feedback(World& world, std::uint64_t count, std::uint32_t steps) {
  std::printf("\nBlockwise (64) to int4, direct, %u members: relative error of the mean of %u equal steps\n\n"
              "| data | without error feedback | with |\n| --- | --- | --- |\n",
              world.size(), steps);
  constexpr std::array names{"normal", "heavy-tailed", "scale-varying"};
  for (const Kind kind : kKinds) {
    const Inputs inputs = inputs_of(kind, world.size(), count);
    std::array<double, 2> errors{};
    for (const bool feedback : {false, true}) {
      std::vector<Residual> residuals;
      for (std::uint32_t i = 0; i < world.size() && feedback; ++i) {
        auto residual = Residual::create(count, hawserFloat32);
        if (!residual) throw std::runtime_error(residual.error().sentence);
        residuals.push_back(std::move(*residual));
      }
      std::vector<double> mean(count);
      for (std::uint32_t step = 0; step < steps; ++step) {
        const Measured measured = reduce(
            world, inputs, {.plan = hawserPlanDirect, .quantization = {hawserQuantizeBlockwise, hawserToInt4, 64, 0}},
            feedback ? &residuals : nullptr);
        for (std::uint64_t i = 0; i < count; ++i) mean[i] += static_cast<double>(measured.result[i]) / steps;
      }
      errors[feedback ? 1 : 0] = relative_error(Values(mean.begin(), mean.end()), inputs.sum);
    }
    std::printf("| %s | %.2g | %.2g |\n", names[static_cast<std::size_t>(kind)], errors[0], errors[1]);
    std::fflush(stdout);
  }
}

}  // namespace

int run_quantization_bench(const QuantizationOptions& options) try {
  std::printf("all-reduce (sum) of %llu float32; error: root mean square of the difference from the exact sum, by\n"
              "that of the sum; bytes: what one member sends for one value, where a plain one takes 4 in each half\n\n",
              static_cast<unsigned long long>(options.count));
  std::vector<World> worlds;
  for (const std::uint32_t size : options.worlds) worlds.emplace_back(size);
  print_schemes(worlds, options.count);
  print_feedback(worlds.front(), options.count, options.steps);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "hawser bench: %s\n", error.what());
  return 1;
}

}  // namespace hawser::bench
