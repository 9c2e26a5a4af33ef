#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

/// Programs that run on devices, as values: what a stream needs to run one, wherever it lies.
namespace hawser::device {

/// What every kernel is called with, as it is: the one argument of a CUDA kernel.
struct KernelArguments {
  static constexpr std::size_t kMemories = 64;
  static constexpr std::size_t kParameterBytes = 1536;
  std::byte* memory[kMemories];
  alignas(16) unsigned char parameters[kParameterBytes];
};

/// Threads of a block. The blocks of a launch share nothing and run in any order.
inline constexpr unsigned kKernelThreads = 256;

struct Kernel {
  /// Of the function in the image.
  const char* name = nullptr;
  /// Runs one block of it on the host, where the simulated device is.
  void (*run_block)(const KernelArguments& arguments, unsigned block) = nullptr;
  /// Code for GPUs (a fatbin), or null where this build has none.
  const void* image = nullptr;
};

/// One run of a kernel. `memory`: all that it touches, on the stream's device.
struct Launch {
  struct Memory {
    std::byte* at = nullptr;
    std::size_t bytes = 0;
  };
  const Kernel* kernel = nullptr;
  unsigned blocks = 0;
  std::vector<Memory> memory;  ///< KernelArguments::kMemories at most.
  std::vector<unsigned char> parameters;

  /// `parameters`: a plain struct that the kernel knows.
  template <class Parameters>
  static Launch of(const Kernel& kernel, std::uint64_t blocks, std::vector<Memory> memory,
                   const Parameters& parameters) {
    static_assert(std::is_trivially_copyable_v<Parameters> && sizeof(Parameters) <= KernelArguments::kParameterBytes);
    Launch made{
        .kernel = &kernel, .blocks = static_cast<unsigned>(blocks), .memory = std::move(memory), .parameters = {}};
    made.parameters.resize(sizeof parameters);
    std::memcpy(made.parameters.data(), &parameters, sizeof parameters);
    return made;
  }
};

}  // namespace hawser::device
