#include "checkpoint_command.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "byte_text.hpp"
#include "hawser_shared_state.h"
#include "progress_bar.hpp"

namespace {

struct CheckpointArguments {
  std::string path;
  bool header_only = false;
  bool quiet = false;
};

struct Tensor {
  std::string name;
  const char* type;
  std::string count, bytes;
  std::string digest;
};

const char* type_name(hawserDataType_t type) {
  constexpr std::array kNames{"float32", "float64", "float16", "bfloat16", "int8",  "uint8",
                              "int16",   "uint16",  "int32",   "uint32",   "int64", "uint64"};
  const auto number = static_cast<std::size_t>(type);
  return number < kNames.size() ? kNames[number] : "?";
}

int complain() {
  std::fprintf(stderr, "hawser checkpoint: %s\n", hawserGetLastError());
  return 1;
}

void keep(void* tensors, const hawserCheckpointTensor_t* tensor) {
  static_cast<std::vector<Tensor>*>(tensors)->push_back({.name = tensor->name,
                                                         .type = type_name(tensor->type),
                                                         .count = std::to_string(tensor->count),
                                                         .bytes = std::to_string(tensor->bytes),
                                                         .digest = tensor->digest});
}

void print_tensors(const std::vector<Tensor>& tensors) {
  // Names come last: they may be long, and of characters of any width.
  std::size_t count = std::strlen("count"), bytes = std::strlen("bytes");
  for (const Tensor& tensor : tensors) {
    count = std::max(count, tensor.count.size());
    bytes = std::max(bytes, tensor.bytes.size());
  }
  const auto row = [&](const Tensor& tensor) {
    std::printf("%-8s  %*s  %*s  %-32s  %s\n", tensor.type, static_cast<int>(count), tensor.count.c_str(),
                static_cast<int>(bytes), tensor.bytes.c_str(), tensor.digest.c_str(), tensor.name.c_str());
  };
  row({.name = "name", .type = "type", .count = "count", .bytes = "bytes", .digest = "digest"});
  std::ranges::for_each(tensors, row);
  std::printf("\n");
}

int verify(const std::string& path, const hawserCheckpointInfo_t& described) {
  const auto begin = std::chrono::steady_clock::now();
  hawserCheckpointInfo_t verified = HAWSER_CHECKPOINT_INFO_INIT;
  hawserResult_t result;
  {
    ProgressBar bar("checking");
    result = hawserCheckpointVerify(path.c_str(), ProgressBar::on_progress, &bar, &verified);
  }
  if (result != hawserSuccess) return complain();
  if (std::strcmp(verified.digest, described.digest) != 0) {
    std::fprintf(stderr, "hawser checkpoint: another file was put in place of \"%s\" meanwhile\n",
                 path.c_str());
    return 1;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("all digests are right (%s in %.2f s)\n",
              byte_text(static_cast<double>(verified.bytes)).c_str(), seconds);
  return 0;
}

int inspect(const CheckpointArguments& arguments) {
  std::vector<Tensor> tensors;
  hawserCheckpointInfo_t info = HAWSER_CHECKPOINT_INFO_INIT;
  if (hawserCheckpointDescribe(arguments.path.c_str(), keep, &tensors, &info) != hawserSuccess)
    return complain();
  if (!arguments.quiet) print_tensors(tensors);
  std::printf("revision %llu, %llu tensors, %llu bytes, digest %s\n",
              static_cast<unsigned long long>(info.revision), static_cast<unsigned long long>(info.tensors),
              static_cast<unsigned long long>(info.bytes), info.digest);
  std::fflush(stdout);
  return arguments.header_only ? 0 : verify(arguments.path, info);
}

}  // namespace

void add_checkpoint_command(CLI::App& app, int& status) {
  const auto arguments = std::make_shared<CheckpointArguments>();
  CLI::App* command = app.add_subcommand(
      "checkpoint", "Show what a checkpoint of shared state holds, and check all of it against its digests");
  command->add_option("file", arguments->path, "A safetensors file that Hawser wrote")->required();
  command->add_flag("--header-only", arguments->header_only,
                    "Don't read the content: only show what the header says");
  command->add_flag("-q,--quiet", arguments->quiet, "No list of tensors");
  command->footer("Exit status: 0 if all is right; 1 if not, and a sentence on stderr says what is wrong.");
  command->callback([arguments, &status] { status = inspect(*arguments); });
}
