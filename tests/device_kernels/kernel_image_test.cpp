#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "catch.hpp"
#include "device_kernels/kernels.hpp"

namespace hawser::device_kernels {

TEST_CASE("every kernel has a name of its own and code for the host") {
  std::set<std::string> names;
  for (const device::Kernel* kernel : all_kernels()) {
    CHECK(kernel->run_block != nullptr);
    CHECK(names.insert(kernel->name).second);
  }
  CHECK(names.size() >= 16);
}

TEST_CASE("each architecture's code has every kernel under its name") {
  // Without a compiler for GPUs there is none, or it was made elsewhere.
  if (all_kernels().front()->image == nullptr || !std::filesystem::exists(HAWSER_GPU_CODE)) return;
  std::size_t architectures = 0;
  for (const auto& file : std::filesystem::directory_iterator(HAWSER_GPU_CODE)) {
    if (file.path().extension() != ".cubin") continue;
    ++architectures;
    std::ifstream stream(file.path(), std::ios::binary);
    const std::string code{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    for (const device::Kernel* kernel : all_kernels()) {
      INFO(file.path() << " " << kernel->name);
      CHECK(kernel->image == all_kernels().front()->image);
      CHECK(code.find(std::string(".text.") + kernel->name + '\0') != std::string::npos);
    }
  }
  CHECK(architectures == 3);
}

}  // namespace hawser::device_kernels
