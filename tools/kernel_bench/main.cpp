/// Times each kernel of src/device_kernels on one device, beside a copy from the device to itself.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "json/json_writer.hpp"
#include "kernel_bench/measured_kernels.hpp"
#include "kernel_bench/timing.hpp"

namespace hawser::kernel_bench {
namespace {

struct Options {
  std::uint64_t bytes = std::uint64_t{256} << 20;
  int rounds = 5;
  int device = 0;
  std::string json;
};

struct Figure {
  std::string name;
  double seconds = 0;
  double bytes_per_s = 0;
};

/// Numbers between -1 and 1 on the device, at two places.
Result<void> fill(device::Stream& stream, const Arrays& arrays) {
  std::vector<float> values(arrays.count());
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(static_cast<std::int32_t>(i * 0x9e3779b1U)) * 0x1p-31F;
  for (std::byte* const to : {arrays.values(), arrays.others()}) {
    const auto put = stream.copy(to, reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(float));
    if (!put.ok()) return put.error();
  }
  // The values belong to the stream until they are there.
  const auto done = seconds_of(stream, 1, [](device::Stream&) { return Result<void>(); });
  return done.ok() ? Result<void>() : Result<void>(done.error());
}

/// The first one is the copy.
Result<std::vector<Figure>> measure(device::Devices& devices, const Options& options) {
  auto stream = devices.make_stream(options.device);
  if (!stream.ok()) return stream.error();
  const auto arrays = Arrays::allocate(devices, options.device, options.bytes / sizeof(float));
  if (!arrays.ok()) return arrays.error();
  if (const auto filled = fill(**stream, *arrays); !filled.ok()) return filled.error();
  std::vector<Figure> figures;
  const auto time = [&](const std::string& name, std::uint64_t bytes, const Work& work) -> Result<void> {
    const auto seconds = seconds_of(**stream, options.rounds, work);
    if (!seconds.ok()) return seconds.error();
    figures.push_back({.name = name, .seconds = *seconds, .bytes_per_s = static_cast<double>(bytes) / *seconds});
    return {};
  };
  const auto copied = time("copy", 2 * options.bytes, [&](device::Stream& on) {
    return on.copy(arrays->results(), arrays->values(), options.bytes);
  });
  if (!copied.ok()) return copied.error();
  for (const MeasuredKernel& kernel : measured_kernels(*arrays)) {
    const auto timed = time(kernel.name, kernel.bytes_moved, [&](device::Stream& on) -> Result<void> {
      for (const device::Launch& launch : kernel.launches)
        if (auto put = on.launch(launch); !put.ok()) return put;
      return {};
    });
    if (!timed.ok()) return timed.error();
  }
  return figures;
}

void print(const std::vector<Figure>& figures) {
  std::printf("| kernel | ms | GB/s | share of the copy's |\n| --- | --- | --- | --- |\n");
  for (const Figure& figure : figures)
    std::printf("| %s | %.3f | %.0f | %.2f |\n", figure.name.c_str(), 1e3 * figure.seconds, 1e-9 * figure.bytes_per_s,
                figure.bytes_per_s / figures.front().bytes_per_s);
}

bool write_json(const std::string& path, const Options& options, const std::vector<Figure>& figures) {
  JsonWriter json;
  json.open().add("bytes", options.bytes).open_list("kernels");
  for (const Figure& figure : figures)
    json.open()
        .add("name", std::string_view(figure.name))
        .add("seconds", figure.seconds)
        .add("bytes_per_s", figure.bytes_per_s)
        .add("share", figure.bytes_per_s / figures.front().bytes_per_s)
        .close();
  json.close_list().close();
  return json.write_to(path);
}

int fail(const std::string& what) {
  std::fprintf(stderr, "hawser-kernel-bench: %s\n", what.c_str());
  return 1;
}

int run(const Options& options) {
  const auto devices = device::devices();
  if (!devices.ok()) return fail(devices.error().sentence);
  if ((*devices)->count() == 0) return fail("this process has no device; set HAWSER_DEVICE=cuda, or HAWSER_DEVICE=sim");
  if (std::string((*devices)->name()) == "sim")
    std::printf("The simulated device: times say nothing, only that every kernel runs.\n\n");
  const auto figures = measure(**devices, options);
  if (!figures.ok()) return fail(figures.error().sentence);
  print(*figures);
  if (!options.json.empty() && !write_json(options.json, options, *figures))
    return fail("the file " + options.json + " could not be written; give --json another one");
  return 0;
}

}  // namespace
}  // namespace hawser::kernel_bench

int main(int argc, char** argv) {
  CLI::App app{"Each kernel of devices timed, beside a copy on the device. HAWSER_DEVICE chooses the kind of device."};
  hawser::kernel_bench::Options options;
  app.add_option("--bytes", options.bytes, "Of float32 values; K, M and G are powers of 1024 (default 256M)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{1024}, std::uint64_t{1} << 33));
  app.add_option("--rounds", options.rounds, "The best of so many counts")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--device", options.device, "Its number")->capture_default_str()->check(CLI::Range(0, 1023));
  app.add_option("--json", options.json, "File to write all figures to");
  CLI11_PARSE(app, argc, argv);
  return hawser::kernel_bench::run(options);
}
