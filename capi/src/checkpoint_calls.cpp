#include <cstring>

#include "base/assert.hpp"
#include "boundary.hpp"
#include "hawser_shared_state.h"
#include "checkpoint/checkpoint_file.hpp"

namespace capi = hawser::capi;

namespace {

using hawser::Result;

void copy_digest(const hawser::Digest128& digest, char (&to)[HAWSER_DIGEST_BYTES]) {
  const std::string text = to_string(digest);
  HAWSER_ASSERT(text.size() + 1 == sizeof to);
  std::memcpy(to, text.c_str(), sizeof to);
}

void show(const hawser::CheckpointHeader& header, hawserCheckpointCallback_t call, void* user) {
  for (const hawser::CheckpointEntry& entry : header.entries) {
    hawserCheckpointTensor_t tensor{};
    tensor.size = sizeof tensor;
    tensor.name = entry.name.c_str();
    tensor.type = static_cast<hawserDataType_t>(entry.type);
    tensor.count = entry.count;
    tensor.bytes = content_bytes(entry);
    copy_digest(entry.digest, tensor.digest);
    call(user, &tensor);
  }
}

hawserCheckpointInfo_t header_info_of(const hawser::CheckpointHeader& header) {
  hawserCheckpointInfo_t info = HAWSER_CHECKPOINT_INFO_INIT;
  info.revision = header.revision;
  info.tensors = header.entries.size();
  for (const hawser::CheckpointEntry& entry : header.entries) info.bytes += content_bytes(entry);
  copy_digest(checkpoint_digest(header), info.digest);
  return info;
}

/// Before the disk is asked: what is wrong with the arguments.
Result<void> check_arguments(const char* path, const hawserCheckpointInfo_t* info) {
  if (path == nullptr || *path == '\0') return capi::invalid_argument("the path is null or empty");
  if (info == nullptr) return {};
  const auto read = capi::read_struct(*info, "hawserCheckpointInfo_t", capi::Rest::waits_for_answer);
  if (!read.ok()) return read.error();
  return {};
}

}  // namespace

extern "C" {

hawserResult_t hawserCheckpointDescribe(const char* path, hawserCheckpointCallback_t tensor, void* user,
                                        hawserCheckpointInfo_t* info) {
  return capi::guarded([&] {
    if (const auto fine = check_arguments(path, info); !fine.ok()) return capi::report(fine.error());
    const auto header = hawser::read_checkpoint_header(path);
    if (!header.ok()) return capi::report(header.error());
    if (tensor != nullptr) show(*header, tensor, user);
    if (info != nullptr) capi::write_struct(header_info_of(*header), *info);
    return hawserSuccess;
  });
}

hawserResult_t hawserCheckpointVerify(const char* path, hawserProgressCallback_t progress, void* user,
                                      hawserCheckpointInfo_t* info) {
  return capi::guarded([&] {
    if (const auto fine = check_arguments(path, info); !fine.ok()) return capi::report(fine.error());
    hawser::CheckpointProgress tell;
    if (progress != nullptr)
      tell = [=](std::uint64_t done, std::uint64_t total) { progress(user, done, total); };
    const auto header = hawser::verify_checkpoint(path, tell);
    if (!header.ok()) return capi::report(header.error());
    if (info != nullptr) capi::write_struct(header_info_of(*header), *info);
    return hawserSuccess;
  });
}

}  // extern "C"
