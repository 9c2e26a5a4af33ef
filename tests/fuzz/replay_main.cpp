// A main() for fuzz targets without libFuzzer: replays every file of a corpus folder, then seeded random
// inputs (half of them mutations of corpus files). Input i depends on the seed and i alone, so that
// `--seed S --only I` replays one; that command is printed when an input brings the process down.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

struct Options {
  std::string corpus;
  std::vector<std::string> files;
  std::uint64_t random = 0;
  std::uint64_t seed = 1;
  std::uint64_t bytes_max = 4096;
  std::uint64_t seconds_max = 30;
  std::int64_t only = -1;
};

// What the signal handler prints; filled in before each input.
std::array<char, 512> current_input{};

void say_which_input(int signal) {
  const std::size_t length = strnlen(current_input.data(), current_input.size());
  if (write(STDERR_FILENO, current_input.data(), length) < 0) _exit(3);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

std::vector<Bytes> read_files(const std::vector<std::filesystem::path>& paths) {
  std::vector<Bytes> contents;
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    contents.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return contents;
}

std::vector<std::filesystem::path> list_corpus(const Options& options) {
  std::vector<std::filesystem::path> paths(options.files.begin(), options.files.end());
  if (!options.corpus.empty() && std::filesystem::is_directory(options.corpus)) {
    for (const auto& entry : std::filesystem::directory_iterator(options.corpus)) {
      if (entry.is_regular_file()) paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// Sizes lean towards the small ones, where most of a decoder's branches are.
std::size_t random_size(std::mt19937_64& random, std::uint64_t bytes_max) {
  const std::uint64_t top = std::uint64_t{1} << (random() % 17);
  return static_cast<std::size_t>(random() % (std::min(top, bytes_max) + 1));
}

Bytes random_bytes(std::mt19937_64& random, std::uint64_t bytes_max) {
  Bytes bytes(random_size(random, bytes_max));
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

Bytes mutated(std::mt19937_64& random, const std::vector<Bytes>& corpus, std::uint64_t bytes_max) {
  Bytes bytes = corpus[random() % corpus.size()];
  const std::uint64_t edits = 1 + random() % 4;
  for (std::uint64_t edit = 0; edit < edits; ++edit) {
    const std::size_t at = bytes.empty() ? 0 : static_cast<std::size_t>(random() % bytes.size());
    const auto here = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (random() % 5) {
      case 0:
        if (!bytes.empty()) bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ (1U << (random() % 8)));
        break;
      case 1:
        if (!bytes.empty()) bytes[at] = static_cast<std::uint8_t>(random() % 2 == 0 ? 0xff : 0x00);
        break;
      case 2: bytes.resize(at); break;
      case 3: bytes.insert(here, static_cast<std::uint8_t>(random())); break;
      default: {
        const Bytes& other = corpus[random() % corpus.size()];
        bytes.insert(here, other.begin(), other.end());
      }
    }
  }
  if (bytes.size() > bytes_max) bytes.resize(static_cast<std::size_t>(bytes_max));
  return bytes;
}

Bytes input_number(std::uint64_t index, const Options& options, const std::vector<Bytes>& corpus) {
  std::seed_seq seed{options.seed >> 32, options.seed & 0xffffffffU, index >> 32, index & 0xffffffffU};
  std::mt19937_64 random(seed);
  if (!corpus.empty() && random() % 2 == 0) return mutated(random, corpus, options.bytes_max);
  return random_bytes(random, options.bytes_max);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name.rfind("--", 0) != 0) {
      options.files.push_back(name);
      continue;
    }
    if (i + 1 >= argc) {
      std::fprintf(stderr, "%s wants a value\n", argv[i]);
      std::exit(2);
    }
    const char* value = argv[++i];
    if (name == "--corpus") {
      options.corpus = value;
    } else if (name == "--random") {
      options.random = std::strtoull(value, nullptr, 10);
    } else if (name == "--seed") {
      options.seed = std::strtoull(value, nullptr, 10);
    } else if (name == "--bytes-max") {
      options.bytes_max = std::strtoull(value, nullptr, 10);
    } else if (name == "--seconds-max") {
      options.seconds_max = std::strtoull(value, nullptr, 10);
    } else if (name == "--only") {
      options.only = std::strtoll(value, nullptr, 10);
    } else {
      std::fprintf(stderr,
                   "unknown option %s\nusage: %s [FILE...] [--corpus DIR] [--random N] [--seed S] [--only I] "
                   "[--bytes-max B] [--seconds-max T]\n",
                   name.c_str(), argv[0]);
      std::exit(2);
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, say_which_input);

  const std::vector<std::filesystem::path> paths = list_corpus(options);
  const std::vector<Bytes> corpus = read_files(paths);
  for (std::size_t i = 0; i < corpus.size(); ++i) {
    std::snprintf(current_input.data(), current_input.size(), "input that did it: %s %s\n", argv[0],
                  paths[i].c_str());
    LLVMFuzzerTestOneInput(corpus[i].data(), corpus[i].size());
  }

  const auto start = std::chrono::steady_clock::now();
  std::uint64_t done = 0;
  for (std::uint64_t i = 0; i < options.random; ++i) {
    const std::uint64_t index = options.only >= 0 ? static_cast<std::uint64_t>(options.only) : i;
    std::snprintf(current_input.data(), current_input.size(),
                  "input that did it: %s --corpus '%s' --random 1 --bytes-max %llu --seed %llu --only %llu\n",
                  argv[0], options.corpus.c_str(), static_cast<unsigned long long>(options.bytes_max),
                  static_cast<unsigned long long>(options.seed), static_cast<unsigned long long>(index));
    const Bytes input = input_number(index, options, corpus);
    LLVMFuzzerTestOneInput(input.data(), input.size());
    ++done;
    if (std::chrono::steady_clock::now() - start > std::chrono::seconds(options.seconds_max)) break;
  }
  std::printf("%zu corpus files, %llu random inputs (seed %llu), no finding\n", corpus.size(),
              static_cast<unsigned long long>(done), static_cast<unsigned long long>(options.seed));
  return 0;
}
